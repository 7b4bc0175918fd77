"""The directory of a sweep, beside the runs: its command, the states of its jobs, their logs."""

from __future__ import annotations

import hashlib
import os
import socket
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.runs.io.safe_documents import MAX_DOCUMENT, dump_json, parse_json
from infomcr_cli.runs.io.safe_files import read_file, write_atomically
from infomcr_cli.runs.lock import is_acquired
from infomcr_cli.runs.surroundings import surroundings

if TYPE_CHECKING:
    from infomcr_cli.engine.job import Job
    from infomcr_cli.tracking.store import Store

TAIL_BYTES = 8192
FORMAT = 1


@dataclass(frozen=True)
class SweepDirectory:
    """`sweeps/NAME/`: sweep.json, logs/ and the comparison.

    Args:
        uid:      random name of the sweep, by which its parent run in MLflow is found again.
        store:    where its runs were last mirrored, safe to print; None: nowhere yet.
        mirrored: identities of the finished runs that this store holds as its children.
        begun:    when it was last begun, seconds since 1970; None: never.
        evaluate: whether each run is measured once it is trained.
    """

    path: Path
    uid: str
    store: str | None = None
    mirrored: frozenset[str] = frozenset()
    begun: float | None = None
    evaluate: bool = True

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.name

    def log(self, job: Job) -> Path:
        """Return the log file of a job."""
        return self.path / "logs" / f"{job.id}.log"

    def tail(self, job: Job, lines: int = 12) -> list[str]:
        """Return the last lines of a job's log, safe to print; empty if there is no log."""
        return last_lines(self.log(job), lines)

    def mirrored_in(self, store: Store) -> frozenset[str]:
        """Return the identities of the finished runs that a store has as children of this sweep."""
        return self.mirrored if store.shown == self.store else frozenset()

    def write(self, overrides: Sequence[str], jobs: Sequence[Mapping[str, Any]], *, unproposed: int = 0) -> None:
        """Write sweep.json atomically.

        Args:
            unproposed: jobs that a search has still to propose.
        """
        document = {
            "format": FORMAT,
            "uid": self.uid,
            "overrides": list(overrides),
            "jobs": list(jobs),
            "store": self.store,
            "mirrored": sorted(self.mirrored),
            "begun": self.begun,
            "evaluate": self.evaluate,
            "unproposed": unproposed,
        }
        write_atomically(self.path / "sweep.json", dump_json(document))


def last_lines(path: Path, lines: int) -> list[str]:
    """Return the last lines of a log, safe to print; empty if there is no log."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
            text = file.read(TAIL_BYTES).decode(errors="replace")
    except OSError:
        return []
    return [printable(line, 300) for line in text.splitlines() if line.strip()][-lines:]


def name_of(overrides: Sequence[str]) -> str:
    """Return the default name of a sweep, which does not depend on the order of its overrides."""
    return "sweep-" + hashlib.sha256("\0".join(sorted(overrides)).encode()).hexdigest()[:10]


@contextmanager
def locked_directory(runs_dir: Path | str, name: str) -> Iterator[SweepDirectory]:
    """Create or open the directory of a sweep, and lock it while the block runs.

    Yields:
        the directory as sweep.json describes it.

    Raises:
        InputError: another process is at work on this sweep, or the folder cannot be written.
    """
    path = surroundings(runs_dir) / "sweeps" / name
    try:
        (path / "logs").mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path / ".lock", os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise InputError(f"the sweep's folder is not writable ({error.strerror})", received=str(path)) from None
    try:
        _lock(descriptor, path)
        yield _opened(path)
    finally:
        # This releases the lock. The file stays: after its removal, another process could lock a new file of its name
        # while a third one still holds the old file open.
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    deadline = time.monotonic() + 1.0
    # `process_at_work` in another process takes a shared lock for an instant: try a little longer than that.
    while not is_acquired(descriptor, path):
        if time.monotonic() < deadline:
            time.sleep(0.02)
            continue
        raise InputError(
            "a sweep can be run by only one process at a time",
            received=path.name,
            advice=f"Process {_holder(descriptor)} is running it: wait for it, or stop it.",
        )
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()} {socket.gethostname()}".encode(), 0)


def _holder(descriptor: int) -> str:
    """Return the process recorded in a lock file, with its machine unless it is this one."""
    pid, _, host = printable(os.pread(descriptor, 300, 0).decode(errors="replace")).partition(" ")
    return f"{pid} on {host}" if host not in ("", socket.gethostname()) else pid


def process_at_work(path: Path) -> str | None:
    """Return the process that runs the sweep of a directory, as far as locks are shared; None if there is none."""
    # O_NONBLOCK: to open a named pipe of that name would wait for a writer.
    try:
        descriptor = os.open(path / ".lock", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return None if is_acquired(descriptor, path, shared=True) else _holder(descriptor)
    except InputError:  # locks do not work here, so no process has been able to begin the sweep
        return None
    finally:
        os.close(descriptor)


def _opened(path: Path) -> SweepDirectory:
    try:
        document = parse_json(read_file(path, "sweep.json", MAX_DOCUMENT), f"sweep.json of {path.name}")
    except FileNotFoundError:
        folder = SweepDirectory(path, uuid.uuid4().hex)
        folder.write([], [])
        return folder
    known = document if isinstance(document, dict) else {}
    uid, store, mirrored = (known.get(key) for key in ("uid", "store", "mirrored"))
    if not (isinstance(uid, str) and len(uid) == 32 and uid.isalnum() and isinstance(mirrored, list)):
        raise InputError("sweep.json must be as infomcr writes it", received=str(path), advice="Remove it.")
    return SweepDirectory(path, uid, store, frozenset(str(identity) for identity in mirrored))
