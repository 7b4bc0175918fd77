"""A state is what is so, not what was written last: RUNNING without a process is LOST."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from infomcr_cli.engine.directory import locked_directory
from infomcr_cli.errors import InputError
from infomcr_cli.runs import RunDirectory, State, finished, lock_run, new_status, read_status, resumed, write_status
from infomcr_cli.runs import lock as lock_module
from infomcr_cli.runs.lifecycle import active_run
from infomcr_cli.runs.lock import LOCK_NAME, is_held

HOLDER = """
import sys, time
from infomcr_cli.runs import RunDirectory, lock_run, new_status, write_status
run = RunDirectory.open(sys.argv[1])
with lock_run(run):
    write_status(run, new_status("ab"))
    print("held", flush=True)
    time.sleep(60)
"""


@contextmanager
def another_process(run: RunDirectory) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLDER, str(run.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_round_trip(run: RunDirectory) -> None:
    status = finished(new_status("ab").model_copy(update={"step": 7, "epoch": 1}), State.FAILED, "loss is nan\x1b[2J")
    write_status(run, status)
    assert read_status(run) == status
    assert status.reason == "loss is nan\N{REPLACEMENT CHARACTER}[2J"
    assert resumed(status).reason is None
    assert resumed(status).uid == status.uid


def test_a_killed_holder_leaves_a_lost_run_and_no_lock(run: RunDirectory) -> None:
    with another_process(run) as process:
        assert read_status(run).state is State.RUNNING
        assert is_held(run)
        process.send_signal(signal.SIGKILL)
        process.wait()
        lost = read_status(run)
        assert lost.state is State.LOST
        assert str(process.pid) in str(lost.reason)
    with lock_run(run):
        assert is_held(run)
    assert not is_held(run)


def test_the_second_process_is_refused_with_the_first_named(run: RunDirectory) -> None:
    with another_process(run) as process, pytest.raises(InputError) as caught, lock_run(run):
        pass
    assert f"process {process.pid} on {socket.gethostname()}" in str(caught.value)


def test_a_recycled_pid_does_not_make_a_lost_run_look_alive(run: RunDirectory) -> None:
    write_status(run, new_status("ab").model_copy(update={"started": time.time() - 60, "pid": os.getpid()}))
    assert read_status(run).state is State.LOST


def test_a_run_of_another_machine_is_running_while_its_heartbeat_is_recent(run: RunDirectory) -> None:
    write_status(run, new_status("ab").model_copy(update={"host": "elsewhere"}))
    assert read_status(run).state is State.LOST
    lock = run.path / LOCK_NAME
    lock.touch()
    assert read_status(run).state is State.RUNNING
    for seconds in (-700, 700):  # the clock was set back since it was renewed
        os.utime(lock, (0, time.time() + seconds))
        assert read_status(run).state is State.LOST


def test_a_run_of_another_machine_is_taken_only_when_its_heartbeat_has_ended(run: RunDirectory) -> None:
    write_status(run, new_status("ab").model_copy(update={"host": "elsewhere"}))
    lock = run.path / LOCK_NAME
    lock.touch()
    with pytest.raises(InputError, match="A process on elsewhere was at work on it"), active_run(run, is_new=False):
        pass
    os.utime(lock, (0, time.time() - 74.5))
    began = time.monotonic()
    with active_run(run, is_new=False, patience=60):  # a job that Slurm moved here waits
        assert time.monotonic() - began < 30
    lock.touch()
    write_status(run, finished(read_status(run), State.KILLED))  # it said itself that it has ended
    with active_run(run, is_new=False):
        pass


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK])
def test_a_file_system_without_locks_is_named_as_such(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    write_status(run, new_status("ab").model_copy(update={"started": time.time() - 60}))
    (run.path / LOCK_NAME).touch()
    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(InputError, match=r"file locks \(flock\) must work"), lock_run(run):
        pass
    with pytest.raises(InputError, match="file locks"), locked_directory(run.path.parent, "sweep"):
        pass
    assert read_status(run).state is State.LOST


def test_the_heartbeat_goes_on_after_an_error_of_the_file_system(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def utime(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 1:
            raise OSError(errno.ESTALE, "stale")

    monkeypatch.setattr(lock_module, "HEARTBEAT_SECONDS", 0.01)
    monkeypatch.setattr(os, "utime", utime)
    with lock_run(run):
        deadline = time.monotonic() + 20
        while len(calls) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert len(calls) >= 3


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"null",
        b"[1]",
        b'{"state": "DONE"}',
        b'{"state": "RUNNING", "step": -1}',
        b'{"state": "RUNNING", "started": 1e308}',
        b'{"state": "RUNNING", "started": NaN}',
        b'{"state": "RUNNING", "mlflow_run_id": "../../x"}',
        b'{"state": "RUNNING", "uid": 3}',
        b'{"a":' * 5000,
        b"\xff",
        b"[" * 10**6,
    ],
)
def test_an_untrusted_status_is_refused(run: RunDirectory, document: bytes) -> None:
    run.status.write_bytes(document)
    with pytest.raises(InputError, match=r"status\.json"):
        RunDirectory.open(run.path)


def test_unknown_keys_are_ignored(run: RunDirectory) -> None:
    record = json.loads(run.status.read_text()) | {"later": 1}
    run.status.write_text(json.dumps(record))
    assert RunDirectory.open(run.path) == run
