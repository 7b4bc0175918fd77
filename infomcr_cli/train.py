"""The verb `train`: one run, new or taken up again, from its settings to its last checkpoint."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console

from infomcr_cli.config.allowed_builders import named_again
from infomcr_cli.config.compose import compose_run
from infomcr_cli.config.identity import identity, to_yaml
from infomcr_cli.config.resume import resumed_run
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.console.redaction import redact_override
from infomcr_cli.data import check_source, training_set_size
from infomcr_cli.engine.preflight import check_devices
from infomcr_cli.errors import InputError
from infomcr_cli.experiment.resolve_settings import resolved
from infomcr_cli.measures.settings import check_measures
from infomcr_cli.runs import (
    RunDirectory,
    State,
    finished,
    has_checkpoint,
    list_checkpoints,
    lock_run,
    new_run_name,
    new_status,
    read_status,
    write_status,
)
from infomcr_cli.runs.directory import split_start
from infomcr_cli.runs.io.safe_documents import parse_yaml
from infomcr_cli.signals import handled
from infomcr_cli.tracking.known_stores import add_known_store, store_of_run
from infomcr_cli.tracking.moved_runs import default_store, read_settings
from infomcr_cli.tracking.store import Store, store_of


@dataclass(frozen=True)
class TrainRequest:
    """What the command line asks for.

    Args:
        overrides:  Hydra overrides.
        run_dir:    where the run's directory is to be; None: a new name below `runs_dir`.
        resume:     a run to go on with.
        config_dir: a folder of configuration that comes first.
        profile:    whether to show where the time goes, and to leave a trace in the run's directory.
    """

    overrides: Sequence[str] = ()
    run_dir: Path | None = None
    resume: Path | None = None
    config_dir: Path | None = None
    profile: bool = False


@dataclass(frozen=True)
class TrainResult:
    """How a run ended.

    Args:
        reason: why it did not finish; None: it did.
        again:  overrides that a command which goes on with it must repeat.
    """

    run: RunDirectory
    state: State
    reason: str | None
    exit_code: int
    again: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document of `train --json`."""
        status = read_status(self.run)
        return {
            "run": str(self.run.path),
            "state": str(self.state),
            "reason": self.reason,
            "step": status.step,
            "epoch": status.epoch,
        }


def settings_of(request: TrainRequest) -> RunConfig:
    """Return the resolved settings of a request, after every check that needs no TensorFlow.

    Raises:
        InputError: the request cannot be met; nothing has been made.
    """
    if request.resume is None:
        config = resolved(compose_run(request.overrides, request.config_dir))
        if config.start:
            check_start(config.start)
    else:
        if request.run_dir is not None:
            raise InputError(
                "a run is resumed where it is", received=f"--run-dir {request.run_dir}", advice="Leave it out."
            )
        run = RunDirectory.open(request.resume)
        recorded, made_with = read_settings(run), _made_with(run)
        config = resumed_run(recorded, request.overrides, request.config_dir, str(request.resume), made_with)
    check_source(config.data)
    check_measures(config.measure)
    check_devices([config])
    return config


def _made_with(run: RunDirectory) -> list[str]:
    """Return the overrides that a run records, none where the record is not there or not readable."""
    try:
        overrides = parse_yaml(run.read("overrides.yaml"), f"overrides.yaml of {run.name}")
    except (InputError, OSError):
        return []
    return [text for text in overrides if isinstance(text, str)] if isinstance(overrides, list) else []


def check_start(start: str) -> None:
    """Raise InputError where the run to start from, or its checkpoint, is not there."""
    path, name = split_start(start)
    found = [info.name for info in list_checkpoints(RunDirectory.open(path))]
    if not found or name not in ("", "last", "best", *found):
        raise InputError("a checkpoint must exist", received=start, accepted=["last", "best", *found] if found else ())


def _store(config: RunConfig, request: TrainRequest) -> Store | None:
    """Return where the run is mirrored; None: nowhere."""
    tracking = config.tracking
    if tracking.name == "off":
        return None
    if request.resume is not None:
        return _store_of_resumed(config, request, RunDirectory.open(request.resume))
    add_known_store(tracking.uri)
    return store_of(tracking.uri, tracking.experiment, request.run_dir.parent if request.run_dir else config.runs_dir)


def _store_of_resumed(config: RunConfig, request: TrainRequest, run: RunDirectory) -> Store | None:
    """A run directory's own word counts only where the user gave it before."""
    tracking, typed = config.tracking, {text.lstrip("+").partition("=")[0] for text in request.overrides}
    if not typed & {"tracking", "tracking.uri", "tracking.name"}:
        store = store_of_run(run)
        return store and replace(store, experiment=tracking.experiment or store.experiment)
    uri = tracking.uri if "tracking.uri" in typed else None
    add_known_store(uri)
    return store_of(uri, tracking.experiment, run.path.parent, folder=default_store(run))


def train(request: TrainRequest, console: Console) -> TrainResult:
    """Train a run to its end and return how it ended.

    Raises:
        InputError: the request cannot be met; nothing has been made.
    """
    config = settings_of(request)
    store = _store(config, request)
    few = partial(_say_if_too_few, config, console)
    images = training_set_size(config.data) if request.resume is None else None
    if images is not None:
        few(images)
    folder = request.run_dir.parent if request.run_dir else Path(config.runs_dir)
    stood, again = os.path.isdir(folder), named_again(config.model_dump())
    run = RunDirectory.open(request.resume) if request.resume else _new_directory(config, request)
    with lock_run(run):
        if request.resume and read_status(run).state is State.FINISHED:
            console.print(f"{run.path} is finished already.", markup=False, soft_wrap=True)
            return TrainResult(run, State.FINISHED, None, 0)
        console.print(f"run {run.path}", markup=False, highlight=False, soft_wrap=True)
        if store is not None:
            console.print(f"tracking {store.line}", markup=False, highlight=False, soft_wrap=True)
        if request.resume:
            _say_what_is_lost(run, console)
        with _terminable():  # TensorFlow takes seconds to come, and a signal may come first
            try:
                from infomcr_cli.training.trainer import TrainJob, run_training
            except _StoppedEarly as stop:
                return replace(_killed(run, stop.number), again=again)
        try:
            told = request.resume is not None or images is not None
            with redirect_stdout(sys.stderr):  # a network of the user's own may print
                ending = run_training(TrainJob(run, config, store, console, request.profile, None if told else few))
        except InputError:
            if request.resume is None and not read_status(run).step:
                _unmake(run, keep_folder=stood)
            raise
    return TrainResult(run, ending.state, ending.reason, ending.exit_code, again)


def _say_if_too_few(config: RunConfig, console: Console, images: int) -> None:
    """Say before training what `eval` will refuse after it; it can still be given other settings then."""
    try:
        check_measures(config.measure, images)
    except InputError as error:
        line = f"eval will refuse to measure this run as it is set: {error}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _say_what_is_lost(run: RunDirectory, console: Console) -> None:
    if not has_checkpoint(run):
        console.print("There is no checkpoint: training begins anew.")
    elif not run.metrics.exists():
        console.print("metrics.jsonl is gone, and with it the epochs up to the checkpoint.")


class _StoppedEarly(BaseException):
    """A signal came before training could begin."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = signal.Signals(number)


@contextmanager
def _terminable() -> Iterator[None]:
    """Let the first signal to stop raise inside the block; afterwards the session hears signals itself."""
    numbers: list[int] = []

    def hear(number: int, frame: FrameType | None) -> None:
        numbers.append(number)
        if len(numbers) == 1:  # what follows must not keep the state from being written
            raise _StoppedEarly(number)

    with handled(hear):
        yield


def _killed(run: RunDirectory, number: signal.Signals) -> TrainResult:
    write_status(run, finished(read_status(run), State.KILLED, number.name))
    return TrainResult(run, State.KILLED, number.name, 128 + number)


def _unmake(run: RunDirectory, keep_folder: bool) -> None:
    """Remove a run that never began, and the folder that was made for it where nothing else lies in it."""
    shutil.rmtree(run.path)
    if not keep_folder:
        with suppress(OSError):
            run.path.parent.rmdir()


def _new_directory(config: RunConfig, request: TrainRequest) -> RunDirectory:
    hashed = identity(config)
    overrides = [redact_override(override) for override in request.overrides]
    if request.run_dir is not None:
        return RunDirectory.create(
            request.run_dir, config=to_yaml(config), overrides=overrides, status=new_status(hashed)
        )
    name = new_run_name(config.model.name, config.reg.name, hashed)
    return RunDirectory.create_new(
        config.runs_dir, name, config=to_yaml(config), overrides=overrides, status=new_status(hashed)
    )
