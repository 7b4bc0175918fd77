"""What the processor can do, as Linux describes it."""

from __future__ import annotations

from pathlib import Path

PROCESSORS = Path("/proc/cpuinfo")


def instructions(processors: Path = PROCESSORS) -> set[str]:
    """Return the words of the description, names of sets of instructions among them; none where there is none."""
    try:
        return set(processors.read_text().split())
    except OSError:
        return set()
