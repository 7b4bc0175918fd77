"""Run a job in its own process: train if necessary, measure if necessary."""

from __future__ import annotations

import sys
import time
from contextlib import suppress

from rich.console import Console

from infomcr_cli.console.screen import Screen, say
from infomcr_cli.engine.messages import Event, Task
from infomcr_cli.engine.search.pruning import MedianRule
from infomcr_cli.engine.up_to_date import is_measured
from infomcr_cli.errors import InputError
from infomcr_cli.exchange.uploads import upload_checkpoints
from infomcr_cli.experiment.known_builders import remember_builders
from infomcr_cli.runs import RunDirectory, State, is_run
from infomcr_cli.runs.lifecycle import ActiveRun, active_run, create_run
from infomcr_cli.tracking.known_stores import store_of_run

PATIENCE = 90.0  # seconds that a former process has to release the run: it may be writing its last checkpoint


def run_job(task: Task) -> Event:
    """Do the remaining work of a job, and return the outcome."""
    began = time.time()  # the process may have waited for the job for a long time
    console = Screen(file=sys.stderr, width=200)  # the disk of the log may be full, which must not end the job
    directory, is_new = _directory(task)
    try:
        with active_run(directory, is_new=is_new, patience=PATIENCE) as run:
            if run.status.state is not State.FINISHED:
                event = _train(run, task, console, began)
                if event.state is not State.FINISHED:
                    return event
            if task.evaluate and not is_measured(directory, run.status.step, task.config.measure):
                from infomcr_cli.measures.evaluate import measure_run
                from infomcr_cli.report.plots.spectrum import save_spectra

                save_spectra(measure_run(directory, task.config, ["last"], console), directory.plots)
            _upload(directory, task, console)
    except _Refused as error:
        return Event(kind="ended", state=State.FAILED, reason=str(error))
    return Event(kind="ended", state=State.FINISHED)


class _Refused(InputError):
    """Training refused the settings or the data of a job."""


def _directory(task: Task) -> tuple[RunDirectory, bool]:
    """Return the run directory, and whether it was created here; another sweep may create it at the same time."""
    if not is_run(task.run):
        try:
            directory = create_run(task.config, task.overrides, task.run, label=task.label or None)
            remember_builders(directory, task.config)
            return directory, True
        except InputError:
            if not is_run(task.run):
                raise
    return RunDirectory.open(task.run), False


def _train(run: ActiveRun, task: Task, console: Console, began: float) -> Event:
    from infomcr_cli.training.trainer import TrainJob, run_training

    ends = None if task.pruning is None else MedianRule(task.pruning, run.directory)
    try:
        outcome = run_training(TrainJob(run, task.config, None, console, began=began, ends=ends))
    except InputError as error:
        raise _Refused(str(error)) from error
    if outcome.state is State.FAILED:
        with suppress(OSError, InputError):
            say(console, run.directory.read("error.txt").decode(errors="replace"))
    return Event(kind="ended", state=outcome.state, reason=outcome.reason)


def _upload(run: RunDirectory, task: Task, console: Console) -> None:
    """Upload the weights chosen by `tracking.checkpoints`; the scheduler cannot, because it has no network."""
    is_chosen = task.config.tracking.checkpoints != "none"
    problem = upload_checkpoints(run, task.config, store_of_run(run)) if is_chosen else None
    if problem:
        say(console, f"Could not upload the weights of {run.name} to MLflow: {problem}")
