"""The life cycle of a run, from its creation to its end; nothing else writes status.json.

    create_run ──> active_run ──> begin ──> update … ──> finish
                                    │                      └──> FINISHED, FAILED or KILLED
                                    └── the process is gone ──> LOST, closed by `close_run`

A run that refuses its settings before its first step leaves nothing behind. An MLflow run id that the mirror has noted
in status.json stays there whatever is written.
"""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.config.yaml_text import to_yaml
from infomcr_cli.console.redaction import redact
from infomcr_cli.console.text import printable
from infomcr_cli.errors import AdvisedError, InputError
from infomcr_cli.runs.directory import RunDirectory, new_run_name
from infomcr_cli.runs.identity import identity
from infomcr_cli.runs.io.safe_files import write_atomically
from infomcr_cli.runs.lock import HEARTBEAT_SECONDS, is_held, last_heartbeat, lock_run
from infomcr_cli.runs.status import (
    CLOCKS_APART,
    State,
    Status,
    finished,
    is_this_process,
    new_status,
    read_status,
    read_status_file,
    resumed,
    status_document,
)
from infomcr_cli.signals import Interrupted, Interruption

HEARTBEAT_EXPIRES = 2.5 * HEARTBEAT_SECONDS  # less than the patience of a sweep's job
_writing = threading.Lock()


@dataclass(frozen=True)
class RunOutcome:
    """How the work on a run ended.

    Args:
        reason:    why it did not finish; None: it did.
        exit_code: 0 finished, 1 failed, 129, 130 or 143 interrupted.
        advice:    what may help after a failure; None: to continue it.
    """

    state: State
    reason: str | None = None
    exit_code: int = 0
    advice: str | None = None


@dataclass
class Execution:
    """The work on a run, from when it is locked to its recorded end.

    Args:
        interruption: to be checked at each step boundary.
        outcome:      how it ended.
    """

    interruption: Interruption
    outcome: RunOutcome = field(init=False)


def create_run(
    config: RunConfig,
    overrides: Sequence[str],
    path: Path | None = None,
    *,
    name: str | None = None,
    label: str | None = None,
) -> RunDirectory:
    """Make the directory of a new run, RUNNING.

    Args:
        config: resolved settings.
        overrides: as given on the command line; secrets are left out.
        path: where it is to be; None: a new name in `config.runs_dir`.
        name: the name in `config.runs_dir`, to which a number is added if it is taken; None: date, network and hash.
        label: what distinguishes it from the other runs of its sweep.

    Raises:
        InputError: the directory exists already or cannot be made.
    """
    hashed, text = identity(config), to_yaml(config)
    status = new_status(hashed).model_copy(update={"label": label})
    if path is not None:
        return RunDirectory.create(path, config=text, overrides=overrides, status=status)
    name = name or new_run_name(config.model.name, config.reg.name, hashed)
    return RunDirectory.create_new(config.runs_dir, name, config=text, overrides=overrides, status=status)


class ActiveRun:
    """A run that this process has locked: each change of its state goes through it.

    Args:
        is_new: whether this process created the run.
    """

    def __init__(self, directory: RunDirectory, *, is_new: bool) -> None:
        self.directory, self.is_new = directory, is_new

    @property
    def status(self) -> Status:
        """The status as it is on disk."""
        return read_status(self.directory)

    @property
    def has_begun(self) -> bool:
        """Whether the run took a step or has ended: a run that refuses its settings leaves nothing to mirror."""
        status = self.status
        return bool(status.step) or status.state is not State.RUNNING

    def begin(self, **position: int) -> None:
        """Record that this process works on the run now, from `step` and `epoch` on if they are given."""
        write_status(self.directory, resumed(self.status).model_copy(update=position))

    def update(self, **changes: Any) -> None:
        """Record how far the run has come: `step`, `epoch`, `reached_target`."""
        write_status(self.directory, self.status.model_copy(update=changes))

    def finish(self, outcome: RunOutcome) -> RunOutcome:
        """Record how the run ended, and return it; a disk on which that cannot be written is a failure."""
        try:
            write_status(self.directory, finished(self.status, outcome.state, outcome.reason))
        except OSError as error:
            reason = f"{outcome.reason or 'it finished'}; the state could not be written ({error.strerror})"
            return RunOutcome(State.FAILED, reason, outcome.exit_code or 1, outcome.advice)
        return outcome

    @contextmanager
    def carry_out(self) -> Iterator[Execution]:
        """Record how the work inside the block ended, whatever happens; this is the only place that decides so.

        Yields:
            the work, whose `interruption` raises `Interrupted` at a step boundary after a signal, and which has its
            `outcome` after the block.

        Raises:
            InputError: the settings turned out not to fit. A run that had begun is FAILED; any other one is as it was.
        """
        with Interruption() as interruption:
            work = Execution(interruption)
            try:
                yield work
                outcome = RunOutcome(State.FINISHED)
            except Interrupted as stop:
                outcome = RunOutcome(State.KILLED, str(stop), stop.exit_code)
            except KeyboardInterrupt:
                outcome = RunOutcome(State.KILLED, "SIGINT, twice", 130)
            except InputError as error:
                status = self.status
                if status.state is State.RUNNING and status.step and is_this_process(status):
                    write_status(self.directory, finished(status, State.FAILED, str(error)))
                raise
            except (Exception, SystemExit) as error:  # a user's own layer may call sys.exit
                with suppress(OSError):  # the disk may be full, which is then the error itself
                    write_atomically(self.directory.path / "error.txt", redact(traceback.format_exc()).encode())
                advice = error.advice if isinstance(error, AdvisedError) else None
                outcome = RunOutcome(State.FAILED, redact(f"{type(error).__name__}: {error}"), 1, advice)
            work.outcome = self.finish(outcome)


@contextmanager
def active_run(
    directory: RunDirectory, *, is_new: bool, folder_is_new: bool = False, patience: float = 0.0
) -> Iterator[ActiveRun]:
    """Lock a run while the block works on it; a new run that raises InputError before its first step is removed.

    Args:
        is_new: whether this process created the run.
        folder_is_new: whether the folder around it was made for it; it is then removed too if nothing else is in it.
        patience: seconds to wait for a process that holds the run; it may be writing its last checkpoint, or have been
            killed on another machine a moment ago.

    Yields:
        the locked run.

    Raises:
        InputError: another process holds the run.
    """
    deadline = time.monotonic() + patience
    while (is_held(directory) or beats_elsewhere(directory)) and time.monotonic() < deadline:
        time.sleep(0.1)
    if not is_new and (host := beats_elsewhere(directory)):
        raise InputError(
            "a run directory can be used by only one process at a time",
            received=directory.name,
            advice=f"A process on {host} was at work on it less than {HEARTBEAT_EXPIRES:.0f} s ago: stop it, or try "
            "again after that time.",
        )
    refused = False
    try:
        with lock_run(directory):
            run = ActiveRun(directory, is_new=is_new)
            try:
                yield run
            except InputError:
                refused = is_new and not run.status.step  # one that has begun keeps its checkpoints
                if refused:
                    shutil.rmtree(directory.path, ignore_errors=True)
                raise
    finally:
        if refused:
            _remove_rest(directory.path, folder_is_new=folder_is_new)


def _remove_rest(path: Path, *, folder_is_new: bool) -> None:
    """Remove what NFS keeps of a directory while a file in it, the lock, is open; and a folder made for it alone."""
    shutil.rmtree(path, ignore_errors=True)
    if folder_is_new:
        with suppress(OSError):
            path.parent.rmdir()


def beats_elsewhere(directory: RunDirectory) -> str | None:
    """Return the other machine whose process works on a run, by its heartbeat: some locks reach only one machine."""
    recorded = read_status_file(directory.path)
    if recorded.state is not State.RUNNING or recorded.host in (None, socket.gethostname()):
        return None
    is_fresh = -CLOCKS_APART < time.time() - last_heartbeat(directory) < HEARTBEAT_EXPIRES
    return printable(str(recorded.host), 100) if is_fresh else None


def close_run(directory: RunDirectory, state: State, reason: str | None, *, ended: float | None = None) -> None:
    """Record the end of a run whose own process could not; a FINISHED run stays as it is.

    Raises:
        InputError: another process holds the run.
        OSError: it cannot be written.
    """
    status = read_status(directory)
    recorded = read_status_file(directory.path)
    if recorded.state is State.FINISHED or (recorded.state, recorded.reason) == (state, reason):
        return
    with lock_run(directory):
        write_status(directory, finished(status, state, reason, ended=ended))


def note_mlflow_run(directory: RunDirectory, run_id: str) -> None:
    """Note where a run is mirrored; while another process works on the run, that one notes it."""
    with _writing:
        status = read_status_file(directory.path)
        if status.mlflow_run_id != run_id and (status.pid == os.getpid() or not is_held(directory)):
            noted = status.model_copy(update={"mlflow_run_id": run_id})
            write_atomically(directory.status, status_document(noted))


def write_status(directory: RunDirectory, status: Status) -> None:
    """Replace status.json, whole or not at all; an MLflow run id that was noted there stays."""
    with _writing:
        noted = read_status_file(directory.path).mlflow_run_id
        document = status_document(status.model_copy(update={"mlflow_run_id": noted}))
        write_atomically(directory.status, document)
