"""The command `sweep --status`: show a sweep that any process on any machine carries out, or has carried out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from infomcr_cli.console.suggestions import shortest_path
from infomcr_cli.console.text import clock_time, printable
from infomcr_cli.engine.find_sweep import find_sweep
from infomcr_cli.engine.sweep_status import JobStatus, SweepStatus, read_sweep
from infomcr_cli.runs import State

SECONDS_BETWEEN_READS = 2.0
MOST_RUNNING, MOST_FAILED = 12, 5
_WORDS = {
    State.FINISHED: "finished",
    State.RUNNING: "running",
    State.FAILED: "failed",
    State.KILLED: "killed",
    State.LOST: "lost",
    None: "not begun",
}


@dataclass(frozen=True)
class StatusResult:
    """What is shown of a sweep.

    Args:
        others: names of further sweeps in the same folder.
    """

    status: SweepStatus
    others: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0: it was read, whatever became of its jobs."""
        return 0

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document of `sweep --status --json`."""
        status, counts = self.status, self.status.counts
        return {
            "sweep": printable(str(status.folder), 4096),
            "name": printable(status.folder.name),
            "active": status.is_active,
            "process": status.process,
            "begun": status.begun,
            **{word.replace(" ", "_"): counts[state] for state, word in _WORDS.items()},
            "pruned": status.pruned,
            "not_measured": _unmeasured(status),
            "jobs_per_hour": status.jobs_per_hour,
            "seconds_left": status.seconds_left,
            "slurm": dict(status.tasks),
            "jobs": [job.to_dict() for job in status.jobs],
            "others": list(self.others),
        }

    def renderables(self, width: int) -> Iterator[RenderableType]:
        """Yield the state of the sweep, its running jobs, and the failed ones with the ends of their logs."""
        status = self.status
        yield _head(status)
        yield _counts(status)
        if status.tasks:
            yield f"In Slurm: {', '.join(f'{count} {state.lower()}' for state, count in status.tasks.most_common())}"
        if status.waiting_for:
            yield f"Pending: {', '.join(f'{count} for {reason}' for reason, count in status.waiting_for.most_common())}"
        running = [job for job in status.jobs if job.state is State.RUNNING]
        if running:
            yield _running_table(running)
        failed = status.failures
        for job in failed[:MOST_FAILED]:
            yield from _failure(job, status.folder)
        if len(failed) > MOST_FAILED:
            yield f"and {len(failed) - MOST_FAILED} more failed jobs; --json lists all"
        if self.others:
            yield f"Other sweeps here: {', '.join(self.others)}"


def sweep_status(words: Sequence[str]) -> StatusResult:
    """Return the status of a sweep.

    Args:
        words: the name of a sweep, the path of its folder, or the overrides that it was begun with; none: the sweep
            that was last begun.

    Raises:
        InputError: there is no such sweep.
    """
    folder, others = find_sweep(words)
    return StatusResult(read_sweep(folder), others)


def watch(words: Sequence[str], console: Console) -> StatusResult:
    """Show a sweep until no process works on it any more, and return how it ended."""
    result = sweep_status(words)
    folder, others = [str(result.status.folder)], result.others
    with Live(console=console, transient=True, auto_refresh=False) as live:
        while result.status.is_active:
            parts = result.renderables(console.width)
            lines = [Text(part, no_wrap=True, overflow="ellipsis") if isinstance(part, str) else part for part in parts]
            live.update(Group(*lines), refresh=True)
            time.sleep(SECONDS_BETWEEN_READS)
            result = sweep_status(folder)  # by its folder: another sweep may have been begun since
    return StatusResult(result.status, others)


def _head(status: SweepStatus) -> str:
    words = [printable(status.folder.name)]
    if status.process is not None:
        words.append(f"running in process {status.process}")
    else:
        words.append("its jobs are running" if status.is_active else "not running")
    if status.begun is not None:
        words.append(f"started {datetime.fromtimestamp(status.begun).astimezone():%Y-%m-%d %H:%M}")
    return "  ".join((*words, printable(str(shortest_path(status.folder)))))


def _counts(status: SweepStatus) -> str:
    counts = status.counts
    always = (State.FINISHED, State.RUNNING, State.FAILED, None)
    parts = [f"{counts[state]} {word}" for state, word in _WORDS.items() if counts[state] or state in always]
    parts += [f"{status.pruned} pruned"] if status.pruned else []
    if unmeasured := _unmeasured(status):
        parts[0] += f" ({unmeasured} not measured)"
    rate, left = status.jobs_per_hour, status.seconds_left
    pace = [*([f"{rate:.3g} jobs/h"] if rate is not None else []), *([f"{clock_time(left)} left"] if left else [])]
    return "; ".join((f"{status.total} jobs: {', '.join(parts)}", *([", ".join(pace)] if pace else [])))


def _unmeasured(status: SweepStatus) -> int:
    """Return how many jobs have been trained and are to be measured yet."""
    trained = (job for job in status.jobs if job.state is State.FINISHED)
    return sum(job.measured is None for job in trained) if status.evaluate else 0


def _running_table(jobs: Sequence[JobStatus]) -> Table:
    table = Table("job", "epoch", "loss", "images/s", "where", box=None, pad_edge=False)
    for job in jobs[:MOST_RUNNING]:
        loss = None if job.line is None else job.line.values.get("train/loss")
        rate = None if job.line is None else job.line.timing.get("images_per_second")
        epoch = f"{job.epoch}/{job.epochs}" if job.epochs else str(job.epoch)
        cells = (
            job.name,
            epoch,
            "" if loss is None else f"{loss:.4f}",
            "" if rate is None else f"{rate:,.0f}",
            job.where,
        )
        table.add_row(*(Text(cell, overflow="ellipsis", no_wrap=True) for cell in cells))
    if len(jobs) > MOST_RUNNING:
        table.add_row(Text(f"and {len(jobs) - MOST_RUNNING} more"))
    return table


def _failure(job: JobStatus, folder: Path) -> Iterator[str]:
    reason = None if job.status is None else job.status.reason
    yield f"FAILED  {job.name}  {job.where}"
    yield f"    {printable(reason or '')}"
    yield from (f"    | {line}" for line in job.log)
    if job.log:
        yield f"    {printable(str(shortest_path(folder / 'logs')))}/{job.id}.log"
