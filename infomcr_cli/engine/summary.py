"""The summary of a sweep: its JSON document, and the lines printed at its end."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.table import Table
from rich.text import Text

from infomcr_cli.console.text import printable
from infomcr_cli.engine.directory import SweepDirectory
from infomcr_cli.engine.job import Job, Outcome
from infomcr_cli.runs import State, is_run


@dataclass(frozen=True)
class JobResult:
    """One job as the summary shows it.

    Args:
        state: None: it has not begun.
        log:   last lines of its log, where it failed.
        is_pruned: whether a search ended it early; its state is KILLED then.
    """

    job: Job
    state: State | None
    reason: str | None = None
    log: tuple[str, ...] = ()
    is_pruned: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the job's part of the JSON document."""
        return {
            "id": self.job.id,
            "overrides": [printable(override) for override in self.job.overrides],
            "state": None if self.state is None else str(self.state),
            "run": str(self.job.run) if is_run(self.job.run) else None,
            "reason": None if self.reason is None else printable(self.reason),
            **({"log": list(self.log)} if self.log else {}),
            **({"pruned": True} if self.is_pruned else {}),
        }


def job_as_found(job: Job, *, evaluate: bool) -> JobResult:
    """Return the result of a job that was not run this time."""
    return JobResult(job, State.SKIPPED if job.is_done(evaluate) else job.state, job.reason)


def job_result(job: Job, outcome: Outcome | None, folder: SweepDirectory, *, evaluate: bool) -> JobResult:
    """Return the result of a job; an outcome of None means that it was not run this time."""
    if outcome is None:
        result = job_as_found(job, evaluate=evaluate)
        return replace(result, reason=f"{job.reason} (--retry-failed retries it)") if job.reason else result
    log = folder.tail(job) if outcome.state is State.FAILED else []
    return JobResult(job, outcome.final_state, outcome.reason, tuple(log))


def is_incomplete(results: Iterable[JobResult]) -> bool:
    """Return whether a job failed, was killed, has not begun or still runs in a queue; one that was pruned is done."""
    undone = (State.FAILED, State.KILLED, State.RUNNING, State.LOST, None)
    return any(result.state in undone and not result.is_pruned for result in results)


def count(results: Sequence[JobResult], state: State | None) -> int:
    """Return the number of jobs that ended in a state; None counts those that have not started."""
    return sum(result.state is state and not result.is_pruned for result in results)


def count_pruned(results: Sequence[JobResult]) -> int:
    """Return the number of pruned jobs."""
    return sum(result.is_pruned for result in results)


def jobs_table(results: Sequence[JobResult]) -> Table:
    """Return the jobs as a table; whatever an override says is text, never markup."""
    table = Table("job", "state", "id", box=None, pad_edge=False)
    for result in results:
        state = "" if result.state is None else str(result.state)
        name = printable(result.job.label or " ".join(result.job.overrides), 400)
        table.add_row(*(Text(cell) for cell in (name, state, result.job.id)))
    return table


def failure_lines(results: Sequence[JobResult]) -> Iterator[str]:
    """Yield each failed job with its reason and the last lines of its log."""
    for result in results:
        if result.state is State.FAILED:
            yield f"FAILED  {printable(result.job.name, 400)}"
            yield f"    {printable(result.reason or '')}"
            yield from (f"    | {line}" for line in result.log)


@dataclass(frozen=True)
class Startup:
    """The start-up time of a job's process, medians over jobs, seconds.

    Args:
        took:   until everything was imported.
        waited: how much of that the job had to wait for.
    """

    took: float
    waited: float


def startup_of(outcomes: Iterable[Outcome]) -> Startup | None:
    """Return what start-ups cost; None: no process was ready."""
    known = [(outcome.startup, outcome.waited or 0.0) for outcome in outcomes if outcome.startup is not None]
    if not known:
        return None
    took, waited = zip(*known, strict=True)
    return Startup(statistics.median(took), statistics.median(waited))
