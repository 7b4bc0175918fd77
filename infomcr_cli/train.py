"""The command `train`: one run, new or resumed, from its settings to its last checkpoint."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from infomcr_cli.config.allowed_builders import named_again
from infomcr_cli.config.compose import compose_run
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.console.redaction import redact
from infomcr_cli.console.suggestions import suggested_command
from infomcr_cli.data import check_source, training_set_size
from infomcr_cli.engine.preflight import check_devices
from infomcr_cli.errors import InputError
from infomcr_cli.experiment.recorded_settings import resumed_run
from infomcr_cli.experiment.resolve_settings import resolved
from infomcr_cli.measures.settings import check_measures
from infomcr_cli.runs import RunDirectory, State, has_checkpoint, list_checkpoints, read_status
from infomcr_cli.runs.directory import split_start
from infomcr_cli.runs.io.safe_documents import parse_yaml
from infomcr_cli.runs.lifecycle import ActiveRun, RunOutcome, active_run, create_run
from infomcr_cli.signals import Interruption, stop_on_signal
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

    def renderables(self, width: int) -> Iterator[str]:
        """Return the line of a run that finished."""
        if not self.reason:
            yield f"{self.state}  {self.run.path}"

    @property
    def problem(self) -> str:
        """What standard error says of a run that did not finish, and how to continue it."""
        if not self.reason:
            return ""
        way_on = f"Go on with: {suggested_command('train', '--resume', self.run.path, *self.again)}"
        if self.reason.startswith("LossNotFiniteError"):  # the same steps would lead there again
            way_on = "A smaller optimizer.learning_rate may help."
        # The command works as it is printed, so that nothing is hidden in it.
        return f"{redact(f'{self.state}: {self.reason}.')} {way_on}"


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
    store, repeat = _store(config, request), named_again(config.model_dump())
    warn = _warning_of_draws(config, request, console)
    folder_is_new = not os.path.isdir(request.run_dir.parent if request.run_dir else config.runs_dir)
    is_new = request.resume is None
    directory = (
        create_run(config, request.overrides, request.run_dir)
        if request.resume is None
        else RunDirectory.open(request.resume)
    )
    with active_run(directory, is_new=is_new, folder_is_new=folder_is_new) as run:
        if run.status.state is State.FINISHED:
            console.print(f"{directory.path} is finished already.", markup=False, soft_wrap=True)
            return TrainResult(directory, State.FINISHED, None, 0)
        _print_head(run, store, console)
        outcome = _fit(run, config, store, request.profile, warn, console)
    return TrainResult(directory, outcome.state, outcome.reason, outcome.exit_code, repeat)


def _fit(
    run: ActiveRun,
    config: RunConfig,
    store: Store | None,
    profile: bool,
    warn: Callable[[int], None] | None,
    console: Console,
) -> RunOutcome:
    # TensorFlow takes seconds to import: a signal that comes meanwhile ends the run at once. The outer block keeps
    # further signals from interrupting the writing of the state.
    with Interruption():
        with stop_on_signal() as stopped:
            from infomcr_cli.training.trainer import TrainJob, run_training
        if stopped.number is not None:
            return run.finish(RunOutcome(State.KILLED, signal.Signals(stopped.number).name, 128 + stopped.number))
    with redirect_stdout(sys.stderr):  # a network of the user's own may print
        return run_training(TrainJob(run, config, store, console, profile, warn))


def _warning_of_draws(config: RunConfig, request: TrainRequest, console: Console) -> Callable[[int], None] | None:
    """Warn of what `eval` will refuse after training if the size of the data is known; else return how to warn later.

    `eval` can still be given other settings then, so that training goes on.
    """

    def warn(images: int) -> None:
        try:
            check_measures(config.measure, images)
        except InputError as error:
            line = f"eval will refuse to measure this run as it is set: {error}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    if request.resume is not None:
        return None
    images = training_set_size(config.data)
    if images is None:
        return warn
    warn(images)
    return None


def _print_head(run: ActiveRun, store: Store | None, console: Console) -> None:
    lines = [f"run {run.directory.path}"]
    if store is not None:
        lines.append(f"tracking {store.line}")
    if not run.is_new and not has_checkpoint(run.directory):
        lines.append("There is no checkpoint: training starts from the beginning.")
    elif not run.is_new and not run.directory.metrics.exists():
        lines.append("metrics.jsonl is missing, and with it the epochs up to the checkpoint.")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
