"""Progress of work in equal parts: a live bar on a terminal, a line at most every ten seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from infomcr_cli.console.screen import say
from infomcr_cli.console.text import clock_time

SECONDS_BETWEEN_LINES = 10.0


@dataclass
class PartsProgress:
    """Shows how many parts are done, and about how much time is left.

    The time left comes from the parts that this process has done itself: those of a command that was stopped before
    cost nothing now.

    Args:
        console: where to; standard error, so that standard output stays a document.
        what:    name of the parts, in the plural, such as "points".
        total:   parts of the whole.
        done:    parts that were done before.
        clock:   seconds from any origin.

    Example:
        with PartsProgress(console, "points", 625).shown() as progress:
            progress.part("runs/a")
    """

    console: Console
    what: str
    total: int
    done: int = 0
    clock: Callable[[], float] = time.monotonic
    _bar: Progress | None = None

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Count the time from now on: what came before, such as compilation, is no part."""
        self._began = self._shown_at = self.clock()
        self._done_before = self.done

    @contextmanager
    def shown(self) -> Iterator[PartsProgress]:
        """Show the bar inside the block if the console is a terminal; it is gone at the end.

        Yields:
            this object.
        """
        if not self.console.is_terminal:
            yield self
            return
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}", markup=False),
        )
        with Progress(*columns, console=self.console, transient=True) as self._bar:
            self._bar.add_task("", total=self.total, completed=self.done, left="")
            yield self
        self._bar = None

    def part(self, of: str) -> None:
        """Say that one more part is done.

        Args:
            of: what it belongs to, such as the name of a run.
        """
        self.done += 1
        if self._bar:
            self._bar.update(self._bar.task_ids[0], completed=self.done, description=of, left=self._left())
        elif self.done < self.total and self.clock() - self._shown_at >= SECONDS_BETWEEN_LINES:
            self._shown_at = self.clock()
            say(self.console, f"{of}: {self.what} {self.done}/{self.total}, {self._left()}")

    def _left(self) -> str:
        each = (self.clock() - self._began) / (self.done - self._done_before)
        return f"about {clock_time(each * (self.total - self.done))} left"
