"""Two sides of a benchmark, each in a process of its own, that take turns: seconds of each turn, and peak memory.

A side is a program that prints `ready` once warm, then, for each line on its standard input, works once and prints the
seconds it took; at the end of its input it prints its peak memory in bytes.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass
class Side:
    """A program that works on command.

    Args: name: in the table. command: prints `ready`, then seconds line by line, then bytes.
    """

    name: str
    command: Sequence[str]
    seconds: list[float] = field(default_factory=list)
    peak_bytes: int = 0
    _process: subprocess.Popen[str] | None = None

    def start(self) -> bool:
        """Start and wait until it is warm; say whether it came up."""
        self._process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self._answer().strip() == "ready"

    def turn(self) -> None:
        """Let it work once."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        self.seconds.append(float(self._answer()))

    def stop(self) -> None:
        """End it and take its peak memory."""
        if self._process is None:
            return
        rest, _ = self._process.communicate()
        self.peak_bytes = int(rest.split()[-1]) if rest.strip() else 0

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def _answer(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.readline()


def take_turns(sides: Sequence[Side], rounds: int) -> list[Side]:
    """Run all sides in turn, `rounds` times; return those that came up."""
    up = [side for side in sides if side.start()]
    try:
        for _ in range(rounds):
            for side in up:
                side.turn()
    finally:
        for side in sides:
            side.stop()
    return up


def serve(work: Callable[[], object], warm_ups: int = 1) -> None:
    """Be a side: warm up, then work once for each line of standard input."""
    for _ in range(warm_ups):
        work()
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        work()
        print(time.perf_counter() - start, flush=True)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, flush=True)
