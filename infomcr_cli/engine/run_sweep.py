"""Run the pending jobs of a sweep, mirror them in MLflow, and record the results."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console

from infomcr_cli.console.redaction import redact, redact_override
from infomcr_cli.console.text import printable
from infomcr_cli.engine.directory import SweepDirectory
from infomcr_cli.engine.factory import make_engine
from infomcr_cli.engine.job import Job, Outcome
from infomcr_cli.engine.mlflow import SweepLogger, close_logger, closed_on_error
from infomcr_cli.engine.scheduler import Engine, Listener, SweepRunner
from infomcr_cli.engine.summary import JobResult, Startup, is_incomplete, job_as_found, job_result, startup_of
from infomcr_cli.engine.sweep_plan import SweepPlan
from infomcr_cli.engine.time_left import cost_of
from infomcr_cli.engine.view import SweepView
from infomcr_cli.signals import Interruption
from infomcr_cli.tracking.known_stores import add_known_store

if TYPE_CHECKING:
    from infomcr_cli.engine.search.search import Search


@dataclass(frozen=True)
class SweepOutcome:
    """The results of the jobs.

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
    retry_advice: str,
    search: Search | None = None,
) -> SweepOutcome:
    """Run the pending jobs; write sweep.json before and after.

    Args:
        retry_advice: how to add what MLflow lacks at the end.
        search:       gives the jobs one after the other; None: `plan` has them all.
    """
    config, jobs = plan.config, _Jobs(plan, search)
    folder = replace(folder, begun=time.time(), evaluate=plan.settings.evaluate)
    jobs.write_as_found(folder)  # first: `sweep --status` in another terminal reads the jobs from it
    view = SweepView(console, jobs.due, len(jobs.all) - len(jobs.due), jobs.costs_to_come)
    engine = _engine(jobs, folder)
    logger = _logger(jobs, folder, retry_advice)
    if search is not None:
        search.on_new = partial(jobs.write_as_found, folder)
        search.on_known = logger.add_existing if logger else search.on_known
    listeners: list[Listener] = [*([search] if search else []), view, *([logger] if logger else [])]
    runner = SweepRunner(engine, listeners, config.engine.retries, fail_fast, search)
    with Interruption() as interruption:
        with view, closed_on_error(logger):
            outcomes = runner.run(() if search else jobs.due)
        results = jobs.results(outcomes, folder)
        failed = is_incomplete(results) or not (search is None or search.is_complete)
        number = close_logger(logger, failed, runner.number, interruption)
        if plan.store is not None and logger is not None:
            folder = replace(folder, store=plan.store.shown, mirrored=frozenset(logger.mirrored))
        jobs.write(folder, results)
    return SweepOutcome(results, startup_of(outcomes.values()), number)


@dataclass(frozen=True)
class _Jobs:
    """The jobs of a sweep, from a plan or from a search."""

    plan: SweepPlan
    search: Search | None

    @property
    def all(self) -> tuple[Job, ...]:
        """The jobs that are known by now."""
        return tuple(self.plan.jobs if self.search is None else self.search.jobs.values())

    @property
    def due(self) -> tuple[Job, ...]:
        """The jobs that are not complete."""
        return tuple(self.plan.due if self.search is None else self.search.due)

    @property
    def costs_to_come(self) -> list[float]:
        """The cost of each job that is still to be proposed, as far as it is known."""
        return [] if self.search is None else [cost_of(self.search.plan.probes[0])] * self.search.left

    def results(self, outcomes: Mapping[str, Outcome], folder: SweepDirectory) -> tuple[JobResult, ...]:
        """Return the result of each job."""
        evaluate = self.plan.settings.evaluate
        found = (job_result(job, outcomes.get(job.identity), folder, evaluate=evaluate) for job in self.all)
        return tuple(found) if self.search is None else tuple(map(self.search.complete, found))

    def write_as_found(self, folder: SweepDirectory) -> None:
        """Write sweep.json before the jobs start."""
        evaluate = self.plan.settings.evaluate
        self.write(folder, [job_as_found(job, evaluate=evaluate) for job in self.all])

    def write(self, folder: SweepDirectory, results: Sequence[JobResult]) -> None:
        """Write sweep.json, from which `sweep --status` derives the state of each job and the time left."""
        overrides = [redact_override(text) for text in self.plan.overrides]
        left = 0 if self.search is None else self.search.left
        entries = [
            {
                **result.to_dict(),
                "directory": str(result.job.run),
                "name": printable(result.job.name, 400),
                "epochs": result.job.config.schedule.epochs,
                "cost": cost_of(result.job),
            }
            for result in results
        ]
        folder.write(overrides, entries, unproposed=left)


def _engine(jobs: _Jobs, folder: SweepDirectory) -> Engine:
    search, due = jobs.search, jobs.due
    return make_engine(
        jobs.plan.config,
        due,
        folder,
        evaluate=folder.evaluate,
        more=0 if search is None else search.left,
        is_searched=search is not None,
        pruning=search.pruning if search is not None else lambda job: None,
    )


def _logger(jobs: _Jobs, folder: SweepDirectory, retry_advice: str) -> SweepLogger | None:
    """Start mirroring the sweep, including its existing runs."""
    plan = jobs.plan
    if plan.store is None:
        return None
    add_known_store(plan.config.tracking.uri)
    due = {job.identity for job in jobs.due}
    logger = SweepLogger(
        plan.store, folder.name, folder.uid, _tags(plan, folder), folder.mirrored_in(plan.store) - due, retry_advice
    )
    for job in jobs.all:
        if job.state is not None and job.identity not in due:
            logger.add_existing(job)
    return logger


def _tags(plan: SweepPlan, folder: SweepDirectory) -> dict[str, str]:
    overrides = redact(" ".join(plan.overrides))
    tags = {"infomcr.kind": "sweep", "infomcr.overrides": overrides[:4000], "infomcr.directory": str(folder.path)}
    if plan.search is not None:
        tags["infomcr.objective"] = ", ".join(one.name for one in plan.search.objectives)
        tags["infomcr.test_set_chose"] = str(plan.search.uses_test).lower()
    return tags
