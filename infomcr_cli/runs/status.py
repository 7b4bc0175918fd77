"""The state of a run; a RUNNING run without a living process reads as LOST."""

from __future__ import annotations

import os
import socket
import time
import uuid
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import psutil
from pydantic import BaseModel, ConfigDict, Field

from infomcr_cli.console.redaction import redact
from infomcr_cli.console.text import printable
from infomcr_cli.runs.io.safe_documents import dump_json, parse_record
from infomcr_cli.runs.io.safe_files import read_file

if TYPE_CHECKING:
    from infomcr_cli.runs.directory import RunDirectory

MAX_STATUS = 256 * 1024
CLOCKS_APART = 60.0  # seconds by which the clocks of two machines may differ
_Text = Annotated[str, Field(max_length=10_000)]
_Seconds = Annotated[float, Field(ge=0, le=1e11)]
_Count = Annotated[int, Field(ge=0, le=10**15)]


class State(StrEnum):
    """What has become of a run."""

    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"
    LOST = "LOST"
    SKIPPED = "SKIPPED"


class Status(BaseModel):
    """What status.json holds. Times are seconds since 1970, UTC.

    Args:
        reason:        why it failed or was killed; None while all is well.
        identity:      hash of what makes the run's weights.
        uid:           random name of this run, by which its mirror in MLflow is found again.
        mlflow_run_id: where it is mirrored, once it is.
        label:         what distinguishes it from the other runs of its sweep, such as "reg=on seed=2".
        step, epoch:   how far it had come when this was written.
        reached_target: whether the target training loss was reached; None where none is set.
        pruned_at:     the epoch after which a search ended it, as worse than others; None: none did.
        pid, host, process_started: the process that works, or last worked, on it.
        slurm_job, slurm_node: the Slurm job in which this process runs, such as "17_3", and its node; None: in none.
        place:         where the run was made, an absolute path; paths in config.yaml are as seen from there.
        store:         where its default MLflow store is, as seen from the run's directory.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)

    state: Annotated[State, Field(strict=False)]
    reason: _Text | None = None
    identity: _Text = ""
    uid: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] = Field(default_factory=lambda: uuid.uuid4().hex)
    started: _Seconds | None = None
    ended: _Seconds | None = None
    step: _Count = 0
    epoch: _Count = 0
    reached_target: bool | None = None
    pruned_at: _Count | None = None
    mlflow_run_id: Annotated[str, Field(pattern=r"^[0-9a-zA-Z_-]{1,64}$")] | None = None
    label: _Text | None = None
    pid: _Count | None = None
    host: _Text | None = None
    process_started: _Seconds | None = None
    slurm_job: _Text | None = None
    slurm_node: _Text | None = None
    place: _Text | None = None
    store: Literal["../mlflow", "../../mlflow"] = "../../mlflow"

    @property
    def started_at(self) -> datetime | None:
        """Start of the run as a date, UTC."""
        return None if self.started is None else datetime.fromtimestamp(self.started, UTC)


def new_status(identity: str) -> Status:
    """Return the status of a run that this process begins now."""
    return resumed(Status(state=State.RUNNING, identity=identity, started=time.time()))


def resumed(status: Status) -> Status:
    """Return the status of a run that this process resumes now."""
    cleared = dict.fromkeys(("reason", "ended", "pruned_at"))
    return status.model_copy(update={"state": State.RUNNING, **cleared, **_this_process(), **_this_slurm_job()})


def finished(status: Status, state: State, reason: str | None = None, *, ended: float | None = None) -> Status:
    """Return the status of a run that ended in `state`, now where no time is given."""
    clean = None if reason is None else printable(redact(reason), 9000)
    return status.model_copy(update={"state": state, "reason": clean, "ended": time.time() if ended is None else ended})


def read_status(run: RunDirectory) -> Status:
    """Return a run's status; RUNNING without a living process reads as LOST.

    Raises:
        InputError: status.json is not what this program writes.
    """
    status = read_status_file(run.path)
    if status.state is State.RUNNING and not _alive(run, status):
        reason = f"its process {status.pid} on {printable(str(status.host))} is gone"
        return status.model_copy(update={"state": State.LOST, "reason": reason})
    return status


def status_document(status: Status) -> bytes:
    """Return the content of status.json."""
    return dump_json(status.model_dump(mode="json"))


def read_status_file(folder: Path) -> Status:
    """Return what status.json in `folder` says, without checking whether the process lives."""
    what = f"status.json of {printable(folder.name)}"
    return parse_record(read_file(folder, "status.json", MAX_STATUS), what, Status)


def is_this_process(status: Status) -> bool:
    """Return whether this process, which holds the run, is the one that works on it.

    The time at which a process started is not compared: it moves if the clock is corrected.
    """
    return (status.pid, status.host) == (os.getpid(), socket.gethostname())


def _this_process() -> dict[str, object]:
    started = psutil.Process().create_time()
    return {"pid": os.getpid(), "host": socket.gethostname(), "process_started": started}


def _this_slurm_job() -> dict[str, str | None]:
    array, index = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    job = f"{array}_{index}" if array and index else os.environ.get("SLURM_JOB_ID")
    return {"slurm_job": job, "slurm_node": os.environ.get("SLURMD_NODENAME") if job else None}


def _alive(run: RunDirectory, status: Status) -> bool:
    from infomcr_cli.runs.lock import is_held, last_heartbeat

    if is_held(run):
        return True
    if status.host == socket.gethostname():
        return _just_created(status)
    # Locks do not reach across every network file system; a beating heart does.
    return -CLOCKS_APART < time.time() - last_heartbeat(run) < 600


def _just_created(status: Status) -> bool:
    """Return whether a run's process may be about to lock the directory that it has just made."""
    return (
        status.pid is not None
        and status.started is not None
        and -2.0 < time.time() - status.started < 2.0
        and (psutil.pid_exists(status.pid))
    )
