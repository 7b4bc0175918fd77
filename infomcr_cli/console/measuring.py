"""Progress of an evaluation: a live bar on a terminal, a line at most every ten seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from infomcr_cli.console.screen import say
from infomcr_cli.console.text import clock_time

SECONDS_BETWEEN_LINES = 10.0
LONGEST_MEASURE = 24 * 3600.0  # seconds over which Rich takes the mean speed


@dataclass
class MeasuringProgress:
    """Shows which measure is computed, how much of all the work is done, and about how much time is left.

    On a terminal the bar is gone when all is measured.

    Args:
        console: where to; standard error, so that standard output stays a document.
        clock:   seconds from any origin.
    """

    console: Console
    clock: Callable[[], float] = time.monotonic
    _bar: Progress | None = None
    _task: TaskID | None = None
    _measure: str = ""
    _before: float = 0.0  # share of the work that was done when the measure began
    _weight: float = 0.0
    _began: float = field(init=False)
    _shown_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self._shown_at = self.clock()

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
        bar = Progress(*columns, console=self.console, transient=True, speed_estimate_period=LONGEST_MEASURE)
        with bar as self._bar:
            self._task = bar.add_task("", total=1.0)
            yield self
        self._bar = None

    def measure(self, number: int, count: int, name: str, done: float, weight: float) -> None:
        """Say which measure is next.

        Args:
            number: of the measure, counted from 1.
            count:  of all measures.
            done:   share of the whole work that is done, 0..1.
            weight: share of the whole work that this measure is, 0..1.
        """
        self._measure, self._before, self._weight = f"measure {number}/{count} {name}", done, weight
        self._show(self._measure, done)

    def part(self, done: int, total: int, what: str) -> None:
        """Say that parts of a measure are done, such as draws.

        Args:
            what: name of the parts, in the plural.
        """
        if self._bar or done < total:  # a line of the next measure follows the last part
            self._show(f"{self._measure}: {what} {done}/{total}", self._before + self._weight * done / total)

    def _show(self, text: str, done: float) -> None:
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=done, description=text)
        elif 0 < done < 1:
            left = (self.clock() - self._began) / done * (1 - done)
            self._say(f"{text}, about {clock_time(left)} left")
        else:
            self._say(text)

    def _say(self, line: str) -> None:
        """Print a line unless one was printed a moment ago."""
        if self.clock() - self._shown_at >= SECONDS_BETWEEN_LINES:
            self._shown_at = self.clock()
            say(self.console, line)
