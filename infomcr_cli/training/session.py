"""One process's work on a run: from a held directory to a state that says how it ended."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from infomcr_cli import runtime
from infomcr_cli.config.schema import RunConfig
from infomcr_cli.errors import InputError
from infomcr_cli.models import named_weights
from infomcr_cli.models.assign import assign_all
from infomcr_cli.report.progress import TrainingProgress
from infomcr_cli.runs import (
    RunDirectory,
    State,
    describe_environment,
    finished,
    has_checkpoint,
    load_checkpoint,
    load_weights,
    read_status,
    resumed,
    write_environment,
    write_status,
)
from infomcr_cli.runs.metrics import MetricsLog
from infomcr_cli.runs.mirror import Mirror
from infomcr_cli.runs.redaction import redact
from infomcr_cli.runs.store import Store
from infomcr_cli.training import loop
from infomcr_cli.training.interruption import Interrupted, Interruption
from infomcr_cli.training.recorder import Recorder
from infomcr_cli.training.setup import Setup, set_up
from infomcr_cli.training.trainee import Trainee


@dataclass(frozen=True)
class Ending:
    """How the work on a run ended.

    Args:
        reason:    None where it finished.
        exit_code: 0 finished, 1 failed, 130 or 143 interrupted.
    """

    state: State
    reason: str | None = None
    exit_code: int = 0


def work_on(run: RunDirectory, config: RunConfig, store: Store | None, console: Console) -> Ending:
    """Train a run whose directory this process holds, and leave its state behind whatever happens.

    Args:    store: where MLflow mirrors the run; None: nowhere.
    Raises:  InputError: the settings turned out not to fit; a run that had not begun is as it was.
    """
    with Interruption() as interruption, _mirrored(run, store) as mirror:
        try:
            _learn(run, config, console, interruption, mirror)
            ending = Ending(State.FINISHED)
        except Interrupted as stop:
            ending = Ending(State.KILLED, str(stop), stop.exit_code)
        except KeyboardInterrupt:
            ending = Ending(State.KILLED, "SIGINT, twice", 130)
        except InputError as error:
            # Bad input that only building the network or reading the data could show: the run has not begun.
            status = read_status(run)
            if status.state is State.RUNNING and status.step:
                write_status(run, finished(status, State.FAILED, str(error)))
            raise
        except Exception as error:
            run.write("error.txt", redact(traceback.format_exc()).encode())
            ending = Ending(State.FAILED, redact(f"{type(error).__name__}: {error}"), 1)
        write_status(run, finished(read_status(run), ending.state, ending.reason))
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
        mirror.close()


def _learn(
    run: RunDirectory, config: RunConfig, console: Console, interruption: Interruption, mirror: Mirror | None
) -> None:
    runtime.prepare(config)
    write_environment(run, describe_environment(runtime.devices()))
    setup = set_up(config)
    start = _take_up(run, config, setup.trainee)
    if mirror:
        mirror.notify()
    schedule, batch_size = config.schedule, config.data.batch_size
    progress = TrainingProgress(console, schedule.epochs, setup.timetable.steps, start.step, batch_size)
    status = resumed(read_status(run))
    recorder = Recorder(
        run, status, setup.trainee, progress, interruption, mirror, schedule.keep_checkpoints, position=start
    )
    recorder.update(status)
    with progress:
        reached = _run(setup, recorder, start, batch_size)
    if schedule.stop_at_train_loss is not None:
        recorder.update(recorder.status.model_copy(update={"reached_target": reached}))


def _run(setup: Setup, recorder: Recorder, start: loop.Position, batch_size: int) -> bool:
    try:
        _, reached = loop.run(setup.trainee, setup.timetable, setup.feed, recorder, start, batch_size)
    except Interrupted:
        recorder.save_between_epochs()
        raise
    return reached


def _take_up(run: RunDirectory, config: RunConfig, trainee: Trainee) -> loop.Position:
    """Bring the trainee to the run's last whole checkpoint, and drop the lines that were written after it."""
    if not has_checkpoint(run):
        MetricsLog(run).truncate_after(0)
        if config.start:
            path, _, name = config.start.partition("@")
            assign_all(named_weights(trainee.model), load_weights(Path(path), name or "last"))
        return loop.Position()
    checkpoint = load_checkpoint(run)
    trainee.restore(checkpoint.weights, checkpoint.optimizer)
    MetricsLog(run).truncate_after(checkpoint.step)
    return loop.Position(checkpoint.step, checkpoint.epoch)
