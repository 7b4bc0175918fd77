"""Run the jobs of a sweep that are due, mirror them in MLflow and record what became of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console

from infomcr_cli.console.redaction import redact, redact_override
from infomcr_cli.console.text import printable
from infomcr_cli.engine.directory import SweepDirectory
from infomcr_cli.engine.factory import make_engine
from infomcr_cli.engine.mlflow import SweepLogger, close_logger, closed_on_error
from infomcr_cli.engine.scheduler import SweepRunner
from infomcr_cli.engine.summary import JobResult, Startup, is_incomplete, job_as_found, job_result, startup_of
from infomcr_cli.engine.sweep_plan import SweepPlan
from infomcr_cli.engine.time_left import cost_of
from infomcr_cli.engine.view import SweepView
from infomcr_cli.signals import Interruption
from infomcr_cli.tracking.known_stores import add_known_store


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
    plan: SweepPlan, folder: SweepDirectory, console: Console, *, fail_fast: bool, way_on: str
) -> SweepOutcome:
    """Run the jobs that are due; write sweep.json before and after.

    Args:
        way_on: says how what MLflow lacks at the end is brought there.
    """
    evaluate, config = plan.settings.evaluate, plan.jobs[0].config
    folder = replace(folder, begun=time.time(), evaluate=evaluate)
    _write(folder, plan, [job_as_found(job, evaluate=evaluate) for job in plan.jobs])
    view = SweepView(console, plan.due, len(plan.jobs) - len(plan.due))
    engine = make_engine(config, plan.due, folder, evaluate=evaluate)
    logger = _logger(plan, folder, way_on)
    runner = SweepRunner(engine, [view, *([logger] if logger else [])], config.engine.retries, fail_fast)
    with Interruption() as interruption:
        with view, closed_on_error(logger):
            outcomes = runner.run(plan.due)
        results = tuple(job_result(job, outcomes.get(job.identity), folder, evaluate=evaluate) for job in plan.jobs)
        number = close_logger(logger, is_incomplete(results), runner.number, interruption)
        if plan.store is not None and logger is not None:
            folder = replace(folder, store=plan.store.shown, mirrored=frozenset(logger.mirrored))
        _write(folder, plan, results)
    return SweepOutcome(results, startup_of(outcomes.values()), number)


def _write(folder: SweepDirectory, plan: SweepPlan, results: Sequence[JobResult]) -> None:
    folder.write([redact_override(text) for text in plan.overrides], [_entry(result) for result in results])


def _entry(result: JobResult) -> dict[str, Any]:
    """Return a job as sweep.json holds it: with what its status is read and its time left estimated from."""
    job = result.job
    place = {"directory": str(job.run), "name": printable(job.name, 400)}
    return {**result.to_dict(), **place, "epochs": job.config.schedule.epochs, "cost": cost_of(job)}


def _logger(plan: SweepPlan, folder: SweepDirectory, way_on: str) -> SweepLogger | None:
    """Start the mirror of the sweep and give it the runs that there are already."""
    if plan.store is None:
        return None
    add_known_store(plan.jobs[0].config.tracking.uri)
    overrides = redact(" ".join(plan.overrides))
    tags = {"infomcr.kind": "sweep", "infomcr.overrides": overrides[:4000], "infomcr.directory": str(folder.path)}
    due = {job.identity for job in plan.due}
    logger = SweepLogger(plan.store, folder.name, folder.uid, tags, folder.mirrored_in(plan.store) - due, way_on)
    for job in plan.jobs:
        if job.state is not None and job.identity not in due:
            logger.add_existing(job)
    return logger
