"""Whether half precision pays where a run is trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

INSTRUCTIONS = {"avx512_bf16", "amx_bf16", "bf16", "svebf16"}  # as Linux names them, x86 and Arm
PROCESSORS = Path("/proc/cpuinfo")


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
