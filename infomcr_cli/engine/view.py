"""Show a sweep while it runs: a live table on a terminal, a plain line for each event elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from infomcr_cli.console.text import printable
from infomcr_cli.engine.job import Job, Outcome
from infomcr_cli.engine.time_left import TimeLeft
from infomcr_cli.errors import InputError
from infomcr_cli.runs import MetricsLog, RunDirectory, State, is_run
from infomcr_cli.runs.metrics import MetricsLine, RewrittenError

SECONDS_BETWEEN_POLLS = 0.5
MOST_ROWS = 12


class SweepView:
    """Shows done, running and failed jobs, the time left, and a line for each running job.

    Args:
        console: where to; standard error, so that standard output stays a document.
        jobs:    that are to be done.
        skipped: jobs of the sweep that were done before.
        more:    costs of jobs that are still to be proposed.
    """

    def __init__(self, console: Console, jobs: Sequence[Job], skipped: int, more: Sequence[float] = ()) -> None:
        self._console, self._total, self._skipped = console, len(jobs) + skipped + len(more), skipped
        self._refreshed = time.monotonic()
        self._counts: Counter[State | None] = Counter()
        self._watches: dict[str, Watch] = {}
        self._time_left = TimeLeft(jobs, more=more)
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None

    def __enter__(self) -> SweepView:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def began(self, job: Job) -> None:
        """Add a line for a job."""
        self._watches[job.identity] = Watch(job)
        self._time_left.began(job)

    def ended(self, outcome: Outcome, left: int) -> None:
        """Count a job that ended, and print a line about it."""
        self._watches.pop(outcome.job.identity, None)
        self._time_left.ended(outcome.job, outcome.seconds)
        state = outcome.final_state
        self._counts[state] += 1
        done = self._skipped + sum(self._counts.values())
        words = (f"{done}/{self._total}", "not begun" if state is None else str(state), outcome.job.name)
        line = "  ".join((*words, f"{outcome.seconds:.1f} s", self._time_left.text()))
        # In a log or a pipe each event stays on one line.
        self._console.print(Text(printable(line, 400)), soft_wrap=not self._console.is_terminal)
        if outcome.reason:
            self._console.print(Text(f"    {printable(outcome.reason)}"), soft_wrap=not self._console.is_terminal)

    def poll(self) -> None:
        """Refresh the running jobs twice a second on a terminal."""
        now = time.monotonic()
        if self._live is None or now - self._refreshed < SECONDS_BETWEEN_POLLS:
            return
        self._refreshed = now
        for watch in self._watches.values():
            watch.refresh()
            self._time_left.has_done(watch.job, min(1.0, watch.epoch / watch.job.config.schedule.epochs))
        self._live.update(self.renderable())

    def renderable(self) -> Group:
        """Return the live view."""
        done = self._skipped + sum(self._counts.values())
        head = Table.grid(padding=(0, 2))
        head.add_row(
            ProgressBar(self._total, done, width=max(10, min(40, self._console.width - 60))),
            Text(f"{done}/{self._total} done, {len(self._watches)} running, {self._counts[State.FAILED]} failed"),
            Text(self._time_left.text()),
        )
        return Group(head, _rows(list(self._watches.values())))


def _rows(watches: Sequence[Watch]) -> Table:
    table = Table("job", "epoch", "loss", "images/s", box=None, pad_edge=False)
    for watch in watches[:MOST_ROWS]:
        epochs = watch.job.config.schedule.epochs
        epoch = "measuring" if watch.epoch >= epochs else f"{watch.epoch}/{epochs}"
        loss, rate = watch.loss, watch.images_per_second
        cells = (
            printable(watch.job.name),
            epoch,
            "" if loss is None else f"{loss:.4f}",
            "" if rate is None else f"{rate:,.0f}",
        )
        table.add_row(*(Text(cell, overflow="ellipsis", no_wrap=True) for cell in cells))
    if len(watches) > MOST_ROWS:
        table.add_row(Text(f"and {len(watches) - MOST_ROWS} more"))
    return table


@dataclass
class Watch:
    """Follows the metrics of one job.

    Args:
        line: the last one that was logged; None: none yet.
    """

    job: Job
    line: MetricsLine | None = None
    _offset: int = 0

    def refresh(self) -> None:
        """Read what was logged since the last refresh."""
        if not is_run(self.job.run):
            return
        try:
            lines, self._offset = MetricsLog(RunDirectory(self.job.run)).read_from(self._offset)
        except RewrittenError:
            self._offset = 0
            return
        except (InputError, OSError):
            return
        self.line = lines[-1] if lines else self.line

    @property
    def epoch(self) -> int:
        """Whole epochs done."""
        return 0 if self.line is None else self.line.epoch

    @property
    def loss(self) -> float | None:
        """Mean training cross-entropy of the last epoch, nats."""
        return None if self.line is None else self.line.values.get("train/loss")

    @property
    def images_per_second(self) -> float | None:
        """Of the last epoch."""
        return None if self.line is None else self.line.timing.get("images_per_second")
