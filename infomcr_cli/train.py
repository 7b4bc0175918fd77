"""The command `train`: one run, new or resumed, from its settings to its last checkpoint."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from infomcr_cli.config.allowed_builders import named_again
from infomcr_cli.config.compose import compose_run
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.console.redaction import redact
from infomcr_cli.console.screen import say
from infomcr_cli.console.suggestions import shortest_path, suggested_command
from infomcr_cli.engine.preflight import check_run, warn_of_draws
from infomcr_cli.errors import InputError
from infomcr_cli.experiment.known_builders import remember_builders
from infomcr_cli.experiment.recorded_settings import resumed_run_settings
from infomcr_cli.experiment.resolve_settings import resolved
from infomcr_cli.runs import RunDirectory, State, has_checkpoint, read_status
from infomcr_cli.runs.lifecycle import ActiveRun, RunOutcome, active_run, create_run
from infomcr_cli.signals import Interruption, stop_on_signal
from infomcr_cli.tracking.known_stores import store_of_new_run, store_of_resumed_run
from infomcr_cli.tracking.store import Store

_log = logging.getLogger("infomcr.runs")


@dataclass(frozen=True)
class TrainRequest:
    """What the command line asks for.

    Args:
        overrides:  Hydra overrides.
        run_dir:    where the run's directory is to be; None: a new name below `runs_dir`.
        resume:     a run to continue.
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
        again:  overrides that a command which continues it must repeat.
        advice: what may help after a failure; None: to continue it.
    """

    run: RunDirectory
    state: State
    reason: str | None
    exit_code: int
    again: Sequence[str] = ()
    advice: str | None = None

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
        """Yield the line of a run that finished, and the next command."""
        if not self.reason:
            yield f"{self.state}  {self.run.path}"
            yield f"Measure it: {suggested_command('eval', shortest_path(self.run.path))}"

    @property
    def problem(self) -> str:
        """What standard error says of a run that did not finish, and how to continue it."""
        if not self.reason:
            return ""
        # The command works as it is printed, so that nothing is hidden in it.
        command = suggested_command("train", "--resume", self.run.path, *self.again)
        return f"{redact(f'{self.state}: {self.reason}.')} {self.advice or f'Continue with: {command}'}"


def settings_of(request: TrainRequest) -> RunConfig:
    """Return the resolved settings of a request, after every check that needs no TensorFlow.

    Raises:
        InputError: the request cannot be met; nothing has been made.
    """
    if request.resume is None:
        config = resolved(compose_run(request.overrides, request.config_dir))
    elif request.run_dir is not None:
        received = f"--run-dir {request.run_dir}"
        raise InputError("--run-dir cannot be combined with --resume", received=received, advice="Leave it out.")
    else:
        config = resumed_run_settings(request.resume, request.overrides, request.config_dir)
    check_run(config, is_new=request.resume is None)
    return config


def train(request: TrainRequest, console: Console) -> TrainResult:
    """Train a run to its end and return how it ended.

    Raises:
        InputError: the request cannot be met; nothing has been made.
    """
    config, is_new = settings_of(request), request.resume is None
    warn: Callable[[int], None] | None = None  # of measures that will lack images, once the data is loaded
    folder_is_new, is_tracked = False, config.tracking.name != "off"
    if request.resume is not None:
        directory = RunDirectory.open(request.resume)
        store = store_of_resumed_run(directory, config.tracking, request.overrides) if is_tracked else None
    else:
        folder = request.run_dir.parent if request.run_dir else Path(config.runs_dir)
        folder_is_new = not os.path.isdir(folder)  # unlike `Path.is_dir`, False if it may not be entered
        store = store_of_new_run(config.tracking, folder)
        warn = warn_of_draws(config, lambda line: say(console, line))
        directory = create_run(config, request.overrides, request.run_dir)
        remember_builders(directory, config)
    with active_run(directory, is_new=is_new, folder_is_new=folder_is_new) as run:
        if run.status.state is State.FINISHED:
            say(console, f"{directory.path} has already finished.")
            return TrainResult(directory, State.FINISHED, None, 0)
        _print_head(run, store, console)
        if (outcome := _import_trainer(run)) is None:
            from infomcr_cli.training.trainer import TrainJob, run_training

            with redirect_stdout(sys.stderr):  # a network of the user's own may print
                outcome = run_training(TrainJob(run, config, store, console, request.profile, warn))
        if outcome.state is State.FINISHED:
            _upload(directory, config, store)
    again = named_again(config.model_dump())
    return TrainResult(directory, outcome.state, outcome.reason, outcome.exit_code, again, outcome.advice)


def _import_trainer(run: ActiveRun) -> RunOutcome | None:
    """Import TensorFlow, which takes seconds; a signal that comes meanwhile ends the run at once.

    Returns:
        how the run ended; None: it goes on.
    """
    with Interruption():  # keeps further signals from interrupting the writing of the state
        with stop_on_signal() as stopped:
            import infomcr_cli.training.trainer  # noqa: F401
        if stopped.number is None:
            return None
        return run.finish(RunOutcome(State.KILLED, signal.Signals(stopped.number).name, 128 + stopped.number))


def _upload(run: RunDirectory, config: RunConfig, store: Store | None) -> None:
    from infomcr_cli.exchange.uploads import upload_checkpoints

    with redirect_stdout(sys.stderr):
        problem = upload_checkpoints(run, config, store)
    if problem:
        again = suggested_command("sync", run.path)
        _log.warning("Could not upload the weights of %s to MLflow: %s. Retry later: %s", run.name, problem, again)


def _print_head(run: ActiveRun, store: Store | None, console: Console) -> None:
    lines = [f"run {run.directory.path}"]
    if store is not None:
        lines.append(f"tracking {store.line}")
    if not run.is_new and not has_checkpoint(run.directory):
        lines.append("There is no checkpoint: training starts from the beginning.")
    elif not run.is_new and not run.directory.metrics.exists():
        lines.append("metrics.jsonl is missing, so the metrics of the epochs before the checkpoint are lost.")
    for line in lines:
        say(console, line)
