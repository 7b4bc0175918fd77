"""An exclusive lock on a run directory, released by the kernel if its holder dies."""

from __future__ import annotations

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
_OPEN = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def lock_run(run: RunDirectory) -> Iterator[None]:
    """Lock a run directory while the block runs; the time stamp of its lock file is renewed meanwhile.

    Raises:
        InputError: another process holds it; its pid and host are named.
    """
    descriptor = os.open(run.path / LOCK_NAME, _OPEN, 0o644)
    stop = threading.Event()
    try:
        if not _acquire(descriptor, seconds=1.0):
            raise _held(run, descriptor)
        _sign(descriptor)
        for half in run.checkpoints.glob(".*.tmp"):  # of a process that was killed
            half.unlink(missing_ok=True)
        threading.Thread(target=_beat, args=(descriptor, stop), name="infomcr-heartbeat", daemon=True).start()
        yield
    finally:
        stop.set()
        os.close(descriptor)


def is_held(run: RunDirectory) -> bool:
    """Return whether a living process holds the run directory, on this machine or where locks are shared."""
    try:
        descriptor = os.open(run.path / LOCK_NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(descriptor)


def last_heartbeat(run: RunDirectory) -> float:
    """Return when a holder last renewed the lock file, seconds since 1970; 0 where none ever did."""
    try:
        return (run.path / LOCK_NAME).lstat().st_mtime
    except OSError:
        return 0.0


@contextmanager
def locked_file(path: Path) -> Iterator[None]:
    """Lock a file while the block runs, after waiting for it; a missing file is created."""
    descriptor = os.open(path, _OPEN, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, seconds: float) -> bool:
    # `is_held` in another process takes a shared lock for an instant: try a little longer than that.
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)


def _sign(descriptor: int) -> None:
    record = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(record).encode(), 0)


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
        except OSError:
            return
