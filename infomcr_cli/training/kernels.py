"""What a run says of the kernels that it computes with: which instructions they use, and which setting slows them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import keras

from infomcr_cli import runtime
from infomcr_cli.processor import PROCESSORS, instructions

# Linux's words for instructions that oneDNN uses, and their names; the fastest that a processor has comes first.
SINGLE = {"avx512f": "AVX-512", "avx2": "AVX2", "sve": "SVE", "asimd": "NEON"}
HALF = {"amx_bf16": "AMX", "avx512_bf16": "AVX512-BF16", "svebf16": "SVE-BF16", "bf16": "BF16"}
LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")  # oneDNN reads them, by its present and its former name
UNLIMITED = ("", "DEFAULT", "ALL")
WIDE = 1_000_000  # weights from which bfloat16 was measured to be faster; tiny networks wait for other things


def used_kernels(precision: str, processors: Path = PROCESSORS) -> str:
    """Return whose kernels compute, and with which instructions, such as `oneDNN kernels with AVX-512`.

    Args:
        processors: Linux's description of the processor; without it no instructions are named.
    """
    name = runtime.kernels()
    if name != "oneDNN":
        return f"{name} kernels"
    if limit := _limit(os.environ):
        return f"{name} kernels limited by {limit}"
    best = _best(SINGLE, processors)
    if precision == "mixed_bfloat16":
        best = _best(HALF, processors) or best
    return f"{name} kernels with {best}" if best else f"{name} kernels"


def instructions_in_use(processors: Path = PROCESSORS) -> str | None:
    """Return the instructions in which oneDNN's kernels compute float32, or the variable that limits them.

    Args:
        processors: Linux's description of the processor; without it, or without oneDNN, None.
    """
    return _limit(os.environ) or _best(SINGLE, processors) if runtime.kernels() == "oneDNN" else None


def slower_settings(
    precision: str, model: keras.Model, devices: Sequence[str], processors: Path = PROCESSORS
) -> Iterator[str]:
    """Yield a sentence for each setting that is known to make training slower on the devices in use.

    Args:
        devices: such as `CPU:0`; nothing is said of other kinds.
    """
    if not all(device.startswith("CPU") for device in devices):
        return
    switch = os.environ.get("TF_ENABLE_ONEDNN_OPTS")
    if switch and runtime.kernels() != "oneDNN" and "avx2" in instructions(processors):
        yield f"TF_ENABLE_ONEDNN_OPTS={switch} switches oneDNN off: a step can take twice as long."
    if runtime.kernels() == "oneDNN" and (limit := _limit(os.environ)):
        yield f"{limit} keeps oneDNN from using newer instructions; unset it for the fastest kernels."
    if is_emulated(precision, devices, processors):
        yield "precision=mixed_bfloat16 is emulated on this processor, many times slower than float32."
    half = _best(HALF, processors)
    if precision == "float32" and half and runtime.kernels() == "oneDNN" and _is_wide(model):
        yield f"This processor has {half}: a new run with precision=mixed_bfloat16 would be faster."


def is_emulated(precision: str, devices: Sequence[str], processors: Path = PROCESSORS) -> bool:
    """Return whether the processor lacks instructions for bfloat16, in which case float32 is several times faster.

    Args:
        devices:    in use, such as `CPU:0`; a GPU or another accelerator is taken to have them.
        processors: Linux's description of the processor; without it the answer is False.
    """
    if precision != "mixed_bfloat16" or not all(device.startswith("CPU") for device in devices):
        return False
    known = instructions(processors)
    return bool(known) and not known & HALF.keys()


def _best(names: Mapping[str, str], processors: Path) -> str | None:
    known = instructions(processors)
    return next((name for word, name in names.items() if word in known), None)


def _limit(environment: Mapping[str, str]) -> str | None:
    """Return the variable that limits oneDNN's instructions, with its value; None if none does."""
    given = ((name, environment.get(name, "")) for name in LIMITS)
    return next((f"{name}={value}" for name, value in given if value.upper() not in UNLIMITED), None)


def _is_wide(model: keras.Model) -> bool:
    """Return whether a network has many weights, and four-dimensional ones among them: kernels of convolutions."""
    shapes = [variable.value.shape for variable in model.trainable_variables]
    return any(shape.rank == 4 for shape in shapes) and sum(s.num_elements() for s in shapes) >= WIDE
