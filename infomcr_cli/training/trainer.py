"""Train a run that this process has locked, from set-up to its last checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from infomcr_cli import runtime
from infomcr_cli.config.compute import passes_until
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.console.progress import TrainingProgress, time_table
from infomcr_cli.console.screen import say
from infomcr_cli.console.training_time import TrainingTime
from infomcr_cli.models import named_weights
from infomcr_cli.models.names import assign_all
from infomcr_cli.runs import (
    RunDirectory,
    has_checkpoint,
    kept_milestones,
    load_checkpoint,
    load_weights,
    recorded_kernels,
    write_environment,
)
from infomcr_cli.runs.checkpoint import check_data
from infomcr_cli.runs.code_changes import write_code_changes
from infomcr_cli.runs.directory import split_start
from infomcr_cli.runs.environment import (
    recorded_devices,
    recorded_instructions,
    recorded_threads,
    threads_in_use,
)
from infomcr_cli.runs.lifecycle import ActiveRun, RunOutcome
from infomcr_cli.runs.metrics import MetricsLog
from infomcr_cli.signals import Interrupted
from infomcr_cli.tracking.background import Mirror
from infomcr_cli.tracking.store import Store
from infomcr_cli.training.callbacks import RunCallback
from infomcr_cli.training.event_file import EventFile
from infomcr_cli.training.head import head_lines
from infomcr_cli.training.kernels import instructions_in_use
from infomcr_cli.training.loop import Callback, Position, run_epochs
from infomcr_cli.training.setup import Setup, set_up


@dataclass(frozen=True)
class TrainJob:
    """What is to be trained.

    Args:
        run:     a run that this process has locked.
        config:  its settings.
        store:   where MLflow mirrors the run; None: nowhere.
        console: where progress is shown.
        profile: whether to show where the time goes, and to leave a trace in `profile/`.
        began:   when the work on the run began, seconds since 1970; None: with this process.
        on_data: is called with the number of training images before the first step.
        ends:    says after each epoch why training ends there, see `RunCallback`; None: it never does.
    """

    run: ActiveRun
    config: RunConfig
    store: Store | None
    console: Console
    profile: bool = False
    on_data: Callable[[int], None] | None = None
    began: float | None = None
    ends: Callable[[int, dict[str, float]], str | None] | None = None


def run_training(job: TrainJob) -> RunOutcome:
    """Train a run, and leave its state behind whatever happens.

    Raises:
        InputError: the settings do not fit the data or the network; a run that had not begun is left as it was.
    """
    run, config = job.run, job.config
    with _mirrored(run, job.store) as mirror, run.carry_out() as work:
        runtime.prepare(config)
        _say_if_rounding_changes(run.directory, job.console)
        write_environment(run.directory, runtime.devices(), runtime.kernels(), instructions_in_use())
        write_code_changes(run.directory)
        setup = set_up(config)
        if job.on_data is not None:
            job.on_data(len(setup.dataset.train))
        start = _restore(run.directory, config, setup)
        for line in head_lines(config, setup):
            say(job.console, line)
        progress = _progress(job, setup, start)
        events = EventFile(run.directory) if config.tracking.tensorboard else None
        run_callback = RunCallback(
            run, config, setup, progress, work.interruption, mirror, events, start, began=job.began, ends=job.ends
        )
        run.begin(step=start.step, epoch=start.epoch)
        profiled = _profiled(setup, run_callback, job) if job.profile else nullcontext((setup, run_callback))
        with progress, closing(events) if events else nullcontext(), profiled as (setup, callback):
            try:
                run_epochs(setup.state, setup.schedule, setup.inputs, callback, start)
            except Interrupted:
                run_callback.save_between_epochs()
                raise
        _note_why_it_ended(job, setup, run_callback.position)
    return work.outcome


@contextmanager
def _mirrored(run: ActiveRun, store: Store | None) -> Iterator[Mirror | None]:
    """Mirror the run in MLflow; the mirror is closed after the run's last state is written.

    Yields:
        the mirror; None if the run has no store.
    """
    if store is None:
        yield None
        return
    mirror = Mirror(run.directory, store)
    try:
        yield mirror
    finally:
        if run.has_begun:
            mirror.close()


def _say_if_rounding_changes(run: RunDirectory, console: Console) -> None:
    """Say that a resumed run will not have the same bits if it computes with something else than before."""
    inexact = "correct, but not bit-identical."
    kernels, threads = recorded_kernels(run), recorded_threads(run)
    devices, instructions = recorded_devices(run), recorded_instructions(run)
    if devices and devices != tuple(runtime.devices()):
        text = f"This run started on {', '.join(devices)} and continues on {', '.join(runtime.devices())}"
        say(console, f"{text}: {inexact}")
    if instructions not in (None, instructions_in_use()):
        text = f"This run started with instructions={instructions} and continues with {instructions_in_use()}"
        say(console, f"{text}: {inexact}")
    if kernels not in (None, runtime.kernels()):
        text = f"This run started with the kernels of {kernels} and continues with those of {runtime.kernels()}"
        say(console, f"{text}: {inexact} Choose with TF_ENABLE_ONEDNN_OPTS=0 or 1.")
    if threads not in (None, threads_in_use()):
        text = f"This run started with threads={threads} and continues with threads={threads_in_use()}"
        say(console, f"{text}: {inexact} Choose with INFOMCR_THREADS={threads}.")


def _progress(job: TrainJob, setup: Setup, start: Position) -> TrainingProgress:
    """Return what shows progress; it says once what the schedule changes, by the step with which that begins."""
    config, regularizer = job.config, setup.state.regularizer
    is_active = regularizer is not None and regularizer.is_active
    changes = setup.schedule.changes(config.optimizer.learning_rate, regularized=is_active)
    steps, planned = setup.schedule.steps, config.schedule
    passes = partial(passes_until, steps=steps, reg=config.reg, schedule=planned)
    training_time = TrainingTime(planned.epochs, steps, start.step, passes, planned.eval_every)
    return TrainingProgress(job.console, training_time, config.data.batch_size, changes)


@contextmanager
def _profiled(setup: Setup, run_callback: RunCallback, job: TrainJob) -> Iterator[tuple[Setup, Callback]]:
    """Time all parts inside the block, then show the table.

    Yields:
        the set-up and the callback, with their parts timed.
    """
    from infomcr_cli.training.profile import ProfiledCallback, Stopwatch, profiled_setup

    watch = Stopwatch()
    callback = ProfiledCallback(run_callback, watch, job.run.directory.path / "profile")
    try:
        yield profiled_setup(setup, watch), callback
    finally:
        callback.close()
        job.console.print(time_table(watch.table()))


def _restore(run: RunDirectory, config: RunConfig, setup: Setup) -> Position:
    """Load the run's last whole checkpoint, and drop the lines of metrics that were written after it."""
    if not has_checkpoint(run):
        MetricsLog(run).truncate_after(0)
        if config.start:
            path, name = split_start(config.start)
            assign_all(named_weights(setup.state.model), load_weights(Path(path), name or "last"))
        return Position()
    checkpoint = load_checkpoint(run)
    check_data(checkpoint, setup.dataset.fingerprint)
    setup.state.restore(checkpoint.weights, checkpoint.optimizer)
    MetricsLog(run).truncate_after(checkpoint.step, checkpoint.epoch)
    if setup.inputs.patience:
        setup.inputs.patience.restore(checkpoint.extra.get("patience"))
    if setup.inputs.target:
        setup.inputs.target.mark_reached(kept_milestones(run, checkpoint.step))
    return Position(checkpoint.step, checkpoint.epoch)


def _note_why_it_ended(job: TrainJob, setup: Setup, position: Position) -> None:
    patience, target = setup.inputs.patience, setup.inputs.target
    if patience and patience.is_over:
        say(job.console, patience.reason)
    if target:
        say(job.console, target.ending(position.epoch, job.config.schedule.epochs))
        job.run.update(step=position.step, epoch=position.epoch, reached_target=target.is_reached)
