"""An exclusive lock on a run directory, released by the kernel if its holder dies."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError

if TYPE_CHECKING:
    from infomcr_cli.runs.directory import RunDirectory

LOCK_NAME = ".lock"
HEARTBEAT_SECONDS = 30.0
# O_NOFOLLOW: the lock file is overwritten, and a link under its name could lead to any file of the user.
_OPEN = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def lock_run(run: RunDirectory) -> Iterator[None]:
    """Lock a run directory while the block runs, and renew the time stamp of its lock file.

    Raises:
        InputError: another process holds the lock (its pid and host are named), or locks do not work there.
    """
    path = run.path / LOCK_NAME
    descriptor = os.open(path, _OPEN, 0o644)
    stop = threading.Event()
    heartbeat = threading.Thread(target=_beat, args=(descriptor, stop), name="infomcr-heartbeat", daemon=True)
    try:
        if not _acquire(descriptor, path, seconds=1.0):
            raise _held(run, descriptor)
        record = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(record).encode(), 0)  # for the message of `_held` in another process
        for half in run.checkpoints.glob(".*.tmp"):  # the holder of the lock alone writes: they are of a killed process
            half.unlink(missing_ok=True)
        heartbeat.start()
        yield
    finally:
        stop.set()
        if heartbeat.is_alive():  # it could renew another file that is opened under the same number
            heartbeat.join(timeout=5.0)
        os.close(descriptor)


def is_held(run: RunDirectory) -> bool:
    """Return whether a living process holds the run directory, on this machine or on another that shares its locks."""
    try:
        descriptor = os.open(run.path / LOCK_NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # Shared, so that two processes that test the lock at once do not take each other for its holder.
        return not is_acquired(descriptor, run.path, shared=True)
    except InputError:  # if locks do not work, no process can have taken one
        return False
    finally:
        os.close(descriptor)


def is_acquired(descriptor: int, path: Path, *, shared: bool = False) -> bool:
    """Take the lock of an open file without waiting; return False if another process holds it.

    Args:
        path: of the file, for the message.

    Raises:
        InputError: locks do not work on its file system.
    """
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # POSIX allows EAGAIN and EACCES for a lock that is held
        return False
    except OSError as error:
        raise _without_locks(path, error) from None
    return True


def last_heartbeat(run: RunDirectory) -> float:
    """Return when a holder last renewed the lock file, seconds since 1970; 0 without a lock file."""
    try:
        return (run.path / LOCK_NAME).lstat().st_mtime
    except OSError:
        return 0.0


@contextmanager
def locked_file(path: Path) -> Iterator[None]:
    """Wait for the lock of a file and hold it while the block runs; a missing file is created.

    Raises:
        InputError: locks do not work on its file system.
    """
    descriptor = os.open(path, _OPEN, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            raise _without_locks(path, error) from None
        yield
    finally:
        os.close(descriptor)


def _without_locks(path: Path, error: OSError) -> InputError:
    return InputError(
        "file locks (flock) must work on the file system of the runs",
        received=f"{path}: {error.strerror}",
        advice="Give a runs_dir= on another file system, or mount this one with locks.",
    )


def _acquire(descriptor: int, path: Path, seconds: float) -> bool:
    # `is_held` in another process takes a shared lock for an instant, which a single attempt could meet.
    deadline = time.monotonic() + seconds
    while not is_acquired(descriptor, path):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _held(run: RunDirectory, descriptor: int) -> InputError:
    holder = printable(os.pread(descriptor, 500, 0).decode(errors="replace"))
    try:
        record = json.loads(holder)
        who = f"process {record['pid']} on {record['host']} since {record['since']}"
    except (ValueError, TypeError, KeyError):
        who = "another process"
    return InputError(
        "a run directory can be used by only one process at a time",
        received=run.name,
        advice=f"It is in use by {who}: wait for it, or stop it.",
    )


def _beat(descriptor: int, stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT_SECONDS):
        try:
            os.utime(descriptor)
        except OSError as error:
            if error.errno == errno.EBADF:  # closed; after any other error a file server may become available again
                return
