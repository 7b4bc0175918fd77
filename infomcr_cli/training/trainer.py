"""One process's work on a run: from a held directory to a state that says how it ended."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from infomcr_cli import runtime
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.console.progress import TrainingProgress, time_table
from infomcr_cli.console.redaction import redact
from infomcr_cli.errors import InputError
from infomcr_cli.models import named_weights
from infomcr_cli.models.names import assign_all
from infomcr_cli.runs import (
    RunDirectory,
    State,
    describe_environment,
    finished,
    has_checkpoint,
    kept_milestones,
    load_checkpoint,
    load_weights,
    read_status,
    resumed,
    write_environment,
    write_status,
)
from infomcr_cli.runs.checkpoint import check_data
from infomcr_cli.runs.directory import split_start
from infomcr_cli.runs.metrics import MetricsLog
from infomcr_cli.runs.status import is_this_process
from infomcr_cli.tracking.background import Mirror
from infomcr_cli.tracking.store import Store
from infomcr_cli.training import loop
from infomcr_cli.training.callbacks import RunCallback
from infomcr_cli.training.devices import is_emulated
from infomcr_cli.training.interruption import Interrupted, Interruption
from infomcr_cli.training.setup import Setup, set_up


@dataclass(frozen=True)
class TrainOutcome:
    """How the work on a run ended.

    Args:
        reason:    None where it finished.
        exit_code: 0 finished, 1 failed, 129, 130 or 143 interrupted.
    """

    state: State
    reason: str | None = None
    exit_code: int = 0


@dataclass(frozen=True)
class TrainJob:
    """What is to be done.

    Args:
        run:     a run whose directory this process holds.
        config:  its settings.
        store:   where MLflow mirrors the run; None: nowhere.
        console: where progress is shown.
        profile: whether to show where the time goes, and to leave a trace in `profile/`.
        suffice: is told how many training images there are, before the first step; None: nobody has to know.
    """

    run: RunDirectory
    config: RunConfig
    store: Store | None
    console: Console
    profile: bool = False
    suffice: Callable[[int], None] | None = None


def run_training(work: TrainJob) -> TrainOutcome:
    """Train a run, and leave its state behind whatever happens.

    Raises:
        InputError: the settings turned out not to fit; a run that had not begun is as it was.
    """
    run = work.run
    with Interruption() as interruption, _mirrored(run, work.store) as mirror:
        try:
            _fit(work, interruption, mirror)
            ending = TrainOutcome(State.FINISHED)
        except Interrupted as stop:
            ending = TrainOutcome(State.KILLED, str(stop), stop.exit_code)
        except KeyboardInterrupt:
            ending = TrainOutcome(State.KILLED, "SIGINT, twice", 130)
        except InputError as error:
            # Bad input that only building the network or reading the data could show: the run has not begun, or not
            # again, and then stays as whoever worked on it last left it.
            status = read_status(run)
            if status.state is State.RUNNING and status.step and is_this_process(status):
                write_status(run, finished(status, State.FAILED, str(error)))
            raise
        except (Exception, SystemExit) as error:  # a user's own layer may call sys.exit
            _keep_traceback(run)
            ending = TrainOutcome(State.FAILED, redact(f"{type(error).__name__}: {error}"), 1)
        return _left_behind(run, ending)


def _keep_traceback(run: RunDirectory) -> None:
    with contextlib.suppress(OSError):  # the disk may be full, which is then the error itself
        run.write("error.txt", redact(traceback.format_exc()).encode())


def _left_behind(run: RunDirectory, ending: TrainOutcome) -> TrainOutcome:
    try:
        write_status(run, finished(read_status(run), ending.state, ending.reason))
    except OSError as error:
        reason = f"{ending.reason or 'it finished'}; the state could not be written ({error.strerror})"
        return TrainOutcome(State.FAILED, reason, ending.exit_code or 1)
    return ending


@contextmanager
def _mirrored(run: RunDirectory, store: Store | None) -> Iterator[Mirror | None]:
    """A mirror in MLflow that is closed after the run's last state is written."""
    if store is None:
        yield None
        return
    mirror = Mirror(run, store)
    try:
        yield mirror
    finally:
        if _has_begun(run):
            mirror.close()


def _has_begun(run: RunDirectory) -> bool:
    """Whether there is anything to mirror: a run whose settings did not fit leaves none."""
    status = read_status(run)
    return bool(status.step) or status.state is not State.RUNNING


def _fit(work: TrainJob, interruption: Interruption, mirror: Mirror | None) -> None:
    run, config = work.run, work.config
    runtime.prepare(config)
    write_environment(run, describe_environment(runtime.devices()))
    if is_emulated(config.precision, runtime.devices()):
        work.console.print("precision=mixed_bfloat16 is emulated on this processor, many times slower than float32.")
    setup = set_up(config)
    if work.suffice is not None:
        work.suffice(len(setup.dataset.train))
    start = _restore(run, config, setup)
    progress = TrainingProgress(
        work.console, config.schedule.epochs, setup.timetable.steps, start.step, config.data.batch_size
    )
    status = resumed(read_status(run))
    keep = config.schedule.keep_checkpoints
    data = setup.dataset.fingerprint
    recorder = RunCallback(run, status, setup.trainee, progress, interruption, mirror, keep, data, position=start)
    recorder.update(status)
    with progress, _profiled(setup, recorder, work) if work.profile else nullcontext((setup, recorder)) as parts:
        reached = _run(*parts, recorder, start)
    if setup.feed.target:
        recorder.update(recorder.status.model_copy(update={"reached_target": reached}))


def _run(setup: Setup, listener: loop.Callback, recorder: RunCallback, start: loop.Position) -> bool:
    try:
        _, reached = loop.run(setup.trainee, setup.timetable, setup.feed, listener, start)
    except Interrupted:
        recorder.save_between_epochs()
        raise
    return reached


@contextmanager
def _profiled(setup: Setup, recorder: RunCallback, work: TrainJob) -> Iterator[tuple[Setup, loop.Callback]]:
    """Time all parts inside the block, then show the table."""
    from infomcr_cli.training.profile import ProfiledCallback, Stopwatch, profiled_setup

    watch = Stopwatch()
    listener = ProfiledCallback(recorder, watch, work.run.path / "profile")
    try:
        yield profiled_setup(setup, watch), listener
    finally:
        listener.close()
        work.console.print(time_table(watch.table()))


def _restore(run: RunDirectory, config: RunConfig, setup: Setup) -> loop.Position:
    """Bring the trainee to the run's last whole checkpoint, and drop the lines that were written after it."""
    if not has_checkpoint(run):
        MetricsLog(run).truncate_after(0)
        if config.start:
            path, name = split_start(config.start)
            assign_all(named_weights(setup.trainee.model), load_weights(Path(path), name or "last"))
        return loop.Position()
    checkpoint = load_checkpoint(run)
    check_data(checkpoint, setup.dataset.fingerprint)
    setup.trainee.restore(checkpoint.weights, checkpoint.optimizer)
    MetricsLog(run).truncate_after(checkpoint.step, checkpoint.epoch)
    if setup.feed.target:
        setup.feed.target.mark_reached(kept_milestones(run, checkpoint.step))
    return loop.Position(checkpoint.step, checkpoint.epoch)
