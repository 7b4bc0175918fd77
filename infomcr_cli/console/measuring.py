"""How far an evaluation has come: a live bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from infomcr_cli.console.screen import say

SECONDS_BETWEEN_LINES = 10.0


@dataclass
class MeasuringProgress:
    """Shows which measure is computed, how much of all is done, and the time left.

    The time left is that of the part that is counted at the moment, such as the draws of gamma; it is known after the
    first of them. On a terminal the bar is gone when all is measured.

    Args:
        console: where to; standard error, so that standard output stays a document.
        clock:   seconds from any origin.
    """

    console: Console
    clock: Callable[[], float] = time.monotonic
    _bar: Progress | None = None
    _task: TaskID | None = None
    _measure: str = ""
    _began: float = 0.0
    _shown_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._shown_at = self.clock()

    @contextmanager
    def shown(self) -> Iterator[MeasuringProgress]:
        """Show the bar inside the block if the console is a terminal.

        Yields:
            this object.
        """
        if not self.console.is_terminal:
            yield self
            return
        columns = TextColumn("{task.description}", markup=False), BarColumn(bar_width=None), TimeRemainingColumn()
        with Progress(*columns, console=self.console, transient=True) as self._bar:
            self._task = self._bar.add_task("", total=None)
            yield self
        self._bar = None

    def measure(self, number: int, count: int, name: str) -> None:
        """Say which measure is next.

        Args:
            number: of the measure, counted from 1.
            count:  of all measures.
        """
        self._measure, self._began = f"measure {number}/{count} {name}", self.clock()
        if self._bar and self._task is not None:
            self._bar.reset(self._task, total=None, description=self._measure)
        elif number > 1:
            self._say(self._measure)

    def part(self, done: int, total: int, what: str) -> None:
        """Say that parts of a measure are done, such as draws.

        Args:
            what: they are, in the plural.
        """
        text = f"{self._measure}: {what} {done}/{total}"
        if self._bar and self._task is not None:
            self._bar.update(self._task, total=total, completed=done, description=text)
        elif done < total:
            seconds = (self.clock() - self._began) / done * (total - done)
            self._say(f"{text}, about {_duration(seconds)} left")

    def _say(self, line: str) -> None:
        """Print a line unless one was printed a moment ago."""
        if self.clock() - self._shown_at >= SECONDS_BETWEEN_LINES:
            self._shown_at = self.clock()
            say(self.console, line)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
