"""Run the jobs of a sweep that are due, mirror them in MLflow and record what became of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rich.console import Console

from infomcr_cli.console.redaction import redact, redact_override
from infomcr_cli.console.text import printable
from infomcr_cli.engine.directory import SweepDirectory
from infomcr_cli.engine.factory import make_engine
from infomcr_cli.engine.job import Job, Outcome
from infomcr_cli.engine.mlflow import SweepLogger, close_logger, closed_on_error
from infomcr_cli.engine.scheduler import Listener, SweepRunner
from infomcr_cli.engine.summary import JobResult, Startup, is_incomplete, job_as_found, job_result, startup_of
from infomcr_cli.engine.sweep_plan import SweepPlan
from infomcr_cli.engine.time_left import cost_of
from infomcr_cli.engine.view import SweepView
from infomcr_cli.signals import Interruption
from infomcr_cli.tracking.known_stores import add_known_store

if TYPE_CHECKING:
    from infomcr_cli.engine.search.pruning import Pruning
    from infomcr_cli.engine.search.search import Search


@dataclass(frozen=True)
class SweepOutcome:
    """What became of the jobs.

    Args:
        startup: what the start of a job's process cost; None: none was started.
        number:  the signal that ended them; None: none did.
    """

    jobs: tuple[JobResult, ...]
    startup: Startup | None
    number: int | None


def run_sweep(
    plan: SweepPlan,
    folder: SweepDirectory,
    console: Console,
    *,
    fail_fast: bool,
    way_on: str,
    search: Search | None = None,
) -> SweepOutcome:
    """Run the jobs that are due; write sweep.json before and after.

    Args:
        way_on: says how what MLflow lacks at the end is brought there.
        search: gives the jobs one after the other; None: `plan` has them all.
    """
    evaluate, config = plan.settings.evaluate, plan.config
    folder = replace(folder, begun=time.time(), evaluate=evaluate)
    more = [] if search is None else [cost_of(search.plan.probes[0])] * search.left
    due = plan.due if search is None else tuple(search.due)
    jobs = _jobs(plan, search)
    view = SweepView(console, due, len(jobs) - len(due), more)
    engine = make_engine(
        config,
        due,
        folder,
        evaluate=evaluate,
        more=len(more),
        is_searched=search is not None,
        pruning=_pruning(search),
    )
    logger = _logger(plan, jobs, due, folder, way_on)
    listeners: list[Listener] = [*([search] if search else []), view, *([logger] if logger else [])]
    runner = SweepRunner(engine, listeners, config.engine.retries, fail_fast, search)
    begun = folder

    def write_found() -> None:
        found = [_as_found(job, search, evaluate=evaluate) for job in _jobs(plan, search)]
        _write(begun, plan, found, 0 if search is None else search.left)

    write_found()
    if search is not None:
        search.on_new = write_found
        search.on_known = logger.add_existing if logger else search.on_known
    with Interruption() as interruption:
        with view, closed_on_error(logger):
            outcomes = runner.run(() if search else due)
        results = tuple(
            _result(job, outcomes.get(job.identity), search, folder, evaluate=evaluate) for job in _jobs(plan, search)
        )
        failed = is_incomplete(results) or not (search is None or search.is_complete)
        number = close_logger(logger, failed, runner.number, interruption)
        if plan.store is not None and logger is not None:
            folder = replace(folder, store=plan.store.shown, mirrored=frozenset(logger.mirrored))
        _write(folder, plan, results, 0 if search is None else search.left)
    return SweepOutcome(results, startup_of(outcomes.values()), number)


def _jobs(plan: SweepPlan, search: Search | None) -> tuple[Job, ...]:
    return tuple(plan.jobs if search is None else search.jobs.values())


def _pruning(search: Search | None) -> Callable[[Job], Pruning | None]:
    return search.pruning if search is not None else lambda job: None


def _as_found(job: Job, search: Search | None, *, evaluate: bool) -> JobResult:
    found = job_as_found(job, evaluate=evaluate)
    return found if search is None else search.complete(found)


def _result(
    job: Job, outcome: Outcome | None, search: Search | None, folder: SweepDirectory, *, evaluate: bool
) -> JobResult:
    result = job_result(job, outcome, folder, evaluate=evaluate)
    return result if search is None else search.complete(result)


def _write(folder: SweepDirectory, plan: SweepPlan, results: Sequence[JobResult], unproposed: int) -> None:
    overrides = [redact_override(text) for text in plan.overrides]
    folder.write(overrides, [_entry(result) for result in results], unproposed=unproposed)


def _entry(result: JobResult) -> dict[str, Any]:
    """Return a job as sweep.json holds it: with what its status is read and its time left estimated from."""
    job = result.job
    place = {"directory": str(job.run), "name": printable(job.name, 400)}
    return {**result.to_dict(), **place, "epochs": job.config.schedule.epochs, "cost": cost_of(job)}


def _logger(
    plan: SweepPlan, jobs: Sequence[Job], due: Sequence[Job], folder: SweepDirectory, way_on: str
) -> SweepLogger | None:
    """Start the mirror of the sweep and give it the runs that there are already."""
    if plan.store is None:
        return None
    add_known_store(plan.config.tracking.uri)
    overrides = redact(" ".join(plan.overrides))
    tags = {"infomcr.kind": "sweep", "infomcr.overrides": overrides[:4000], "infomcr.directory": str(folder.path)}
    if plan.search is not None:
        tags["infomcr.objective"] = ", ".join(one.name for one in plan.search.objectives)
        tags["infomcr.test_set_chose"] = str(plan.search.uses_test).lower()
    unfinished = {job.identity for job in due}
    logger = SweepLogger(plan.store, folder.name, folder.uid, tags, folder.mirrored_in(plan.store) - unfinished, way_on)
    for job in jobs:
        if job.state is not None and job.identity not in unfinished:
            logger.add_existing(job)
    return logger
