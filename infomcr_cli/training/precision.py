"""Half precision is for the main pass alone: what a regularizer subtracts differs by less than bfloat16 can hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import keras

HALF = ("bfloat16", "float16")
INSTRUCTIONS = {"avx512_bf16", "amx_bf16", "bf16", "svebf16"}  # as Linux names them, x86 and Arm
PROCESSORS = Path("/proc/cpuinfo")


@contextmanager
def full_precision(model: keras.Model) -> Iterator[None]:
    """Compute inside the block in the precision in which the weights are held, where that is not half precision.

    A step w' - w of 1e-4 gradients, or of an ε spread over a million weights, is lost when w' is rounded to bfloat16,
    and so is the difference of two losses. Layers are set while a function is traced and set back at once.
    """
    halves = [layer for layer in model._flatten_layers() if layer.compute_dtype in HALF]
    policies = [layer.dtype_policy for layer in halves]
    try:
        for layer in halves:
            layer.dtype_policy = keras.DTypePolicy(layer.variable_dtype)
        yield
    finally:
        for layer, policy in zip(halves, policies, strict=True):
            layer.dtype_policy = policy


def is_emulated(precision: str, devices: Sequence[str], processors: Path = PROCESSORS) -> bool:
    """Say whether the processor lacks instructions for bfloat16, in which case float32 is several times faster.

    Args:
        devices:    in use, such as `CPU:0`; a GPU or another accelerator is taken to have them.
        processors: Linux's description; where there is none nothing is known, and nothing is said.
    """
    if precision != "mixed_bfloat16" or not all(device.startswith("CPU") for device in devices):
        return False
    try:
        words = set(processors.read_text().split())
    except OSError:
        return False
    return not words & INSTRUCTIONS
