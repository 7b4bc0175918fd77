"""One attempt at a job, in the job's own process: train what is not trained, measure what is not measured."""

from __future__ import annotations

import shutil
import sys
import time

from rich.console import Console

from infomcr_cli.config.identity import to_yaml
from infomcr_cli.engine.messages import Event, Task
from infomcr_cli.engine.up_to_date import is_measured
from infomcr_cli.errors import InputError
from infomcr_cli.runs import RunDirectory, State, is_run, lock_run, new_status, read_status
from infomcr_cli.runs.lock import is_held

PATIENCE = 90.0  # seconds that a former process has to let go of the run: it may be writing its last checkpoint


def run_job(task: Task) -> Event:
    """Do a job as far as it is not done, and return how that ended."""
    console = Console(file=sys.stderr, width=200)
    run, new = _directory(task)
    _wait_for(run)
    with lock_run(run):
        if read_status(run).state is not State.FINISHED:
            ending = _trained(run, task, console, new)
            if ending.state is not State.FINISHED:
                return ending
        if task.evaluate and not is_measured(run, read_status(run).step, task.config.measure):
            return _measured(run, task, console)
    return Event(kind="ended", state=State.FINISHED)


def _directory(task: Task) -> tuple[RunDirectory, bool]:
    """Return the run's directory, and whether it was made here: another sweep may make it at the same moment."""
    if not is_run(task.run):
        try:
            return _made(task), True
        except InputError:
            if not is_run(task.run):
                raise
    return RunDirectory.open(task.run), False


def _made(task: Task) -> RunDirectory:
    return RunDirectory.create(
        task.run, config=to_yaml(task.config), overrides=task.overrides, status=new_status(task.identity)
    )


def _wait_for(run: RunDirectory) -> None:
    deadline = time.monotonic() + PATIENCE
    while is_held(run) and time.monotonic() < deadline:
        time.sleep(0.1)


def _trained(run: RunDirectory, task: Task, console: Console, new: bool) -> Event:
    from infomcr_cli.training.trainer import TrainJob, run_training

    try:
        ending = run_training(TrainJob(run, task.config, None, console))
    except InputError as error:
        if new and not read_status(run).step:  # an image that broke while training leaves the checkpoints before it
            shutil.rmtree(run.path)
        return Event(kind="ended", state=State.FAILED, reason=str(error))
    if ending.state is State.FAILED:
        _print_error(run, console)
    return Event(kind="ended", state=ending.state, reason=ending.reason)


def _print_error(run: RunDirectory, console: Console) -> None:
    try:
        console.print(run.read("error.txt").decode(errors="replace"), markup=False, highlight=False, soft_wrap=True)
    except (OSError, InputError):
        return


def _measured(run: RunDirectory, task: Task, console: Console) -> Event:
    from infomcr_cli.measures.run_evaluation import measure_run
    from infomcr_cli.report.plots.spectrum import save_spectra

    save_spectra(measure_run(run, task.config, ["last"], console), run.plots)
    return Event(kind="ended", state=State.FINISHED)
