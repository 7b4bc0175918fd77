"""What the processor can do, as Linux describes it, and how many threads may use it."""

from __future__ import annotations

import os
from pathlib import Path

from infomcr_cli.errors import InputError

PROCESSORS = Path("/proc/cpuinfo")
MOST_THREADS = 4096


def instructions(processors: Path = PROCESSORS) -> set[str]:
    """Return the words of the description, among them the names of instruction sets; none if it is missing."""
    try:
        return set(processors.read_text().split())
    except OSError:
        return set()


def chosen_threads() -> int | None:
    """Return the threads that INFOMCR_THREADS allows a process, None if it is not set.

    Raises:
        InputError: it is no number of threads.
    """
    given = os.environ.get("INFOMCR_THREADS", "").strip()
    if not given:
        return None
    if not given.isdecimal() or not 0 < int(given) <= MOST_THREADS:
        raise InputError(f"INFOMCR_THREADS must be a whole number from 1 to {MOST_THREADS}", received=given)
    return int(given)
