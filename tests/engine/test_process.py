"""The sweep's side of a job's process: what its start-up took, and a run that is another's to close."""

from __future__ import annotations

import errno
import logging
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from infomcr_cli.config.compose import compose_run
from infomcr_cli.engine import local
from infomcr_cli.engine import process as place
from infomcr_cli.engine.job import Job
from infomcr_cli.engine.limits import Limits, Slots
from infomcr_cli.engine.local import LocalEngine
from infomcr_cli.engine.messages import task_of
from infomcr_cli.engine.process import JobProcess, close
from infomcr_cli.runs import RunDirectory, State, lock_run, new_status, read_status

WORKER = str(Path(__file__).with_name("fake_worker.py"))
IDLE = 2.0


def job_in(folder: Path) -> Job:
    return Job("a" * 64, (), "", compose_run(["schedule.epochs=1"]), folder / "runs" / "a")


def test_the_idle_time_of_a_spare_process_does_not_count_as_start_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "COMMAND", (sys.executable, WORKER))
    began = time.monotonic()
    process = JobProcess({})
    try:
        assert process._process.stdout is not None
        assert select.select([process._process.stdout], [], [], 120)[0], "it never was ready"
        took = time.monotonic() - began
        time.sleep(IDLE)
        job = job_in(tmp_path)
        process.give(job, task_of(job, evaluate=False, cwd=tmp_path, log=tmp_path / "log"), Limits())
        while (outcome := process.poll()) is None:
            assert time.monotonic() - began < 120
            time.sleep(0.05)
    finally:
        process.kill()
    assert outcome.state is State.FINISHED, outcome.reason
    assert outcome.startup == pytest.approx(took, abs=IDLE / 4)
    assert outcome.waited == 0.0


def test_a_process_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import sys; sys.stderr.write('a\\nImportError: no tensorflow of http://ann:s3cret-pw@host\\n'); sys.exit(1)"
    monkeypatch.setattr(place, "COMMAND", (sys.executable, "-c", code))
    process, job = JobProcess({}), job_in(tmp_path)
    process.give(job, task_of(job, evaluate=False, cwd=tmp_path, log=tmp_path / "log"), Limits())
    deadline = time.monotonic() + 60
    while (outcome := process.poll()) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert outcome is not None
    assert str(outcome.reason).endswith("without reporting a result: ImportError: no tensorflow of http://***@host")


@pytest.mark.parametrize("ends_first", [True, False], ids=["it ended", "it works"])
def test_what_a_process_started_does_not_outlive_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends_first: bool
) -> None:
    """Such as a data loader of the user's own."""
    own = (
        f"import subprocess, sys, time; print(subprocess.Popen(['sleep', '61']).pid, file=open('{tmp_path}/pid', 'w'))"
    )
    monkeypatch.setattr(place, "COMMAND", (sys.executable, "-c", own if ends_first else f"{own}; time.sleep(61)"))
    process, deadline = JobProcess({}), time.monotonic() + 60
    while not (tmp_path / "pid").is_file() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    started = psutil.Process(int((tmp_path / "pid").read_text()))
    if ends_first:
        job = job_in(tmp_path)
        process.give(job, task_of(job, evaluate=False, cwd=tmp_path, log=tmp_path / "log"), Limits())
        while process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    process.kill()
    assert psutil.wait_procs([started], timeout=20)[1] == []


def test_a_process_ends_where_its_exit_code_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell can hand an ignored SIGCHLD down."""
    monkeypatch.setattr(place, "COMMAND", (sys.executable, "-c", ""))
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        process, deadline = JobProcess({}), time.monotonic() + 60
        while not process._has_ended():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.kill()
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_what_a_job_prints_is_in_its_log(tmp_path: Path) -> None:
    code = (
        "import sys, types\n"
        "sys.modules['infomcr_cli.training.trainer'] = types.ModuleType('trainer')\n"
        "from infomcr_cli.engine import run_job, worker\n"
        "from infomcr_cli.engine.messages import Event\n"
        "run_job.run_job = lambda task: print('printed by a network') or Event(kind='ended', state='FINISHED')\n"
        "worker.main()"
    )
    job, log = job_in(tmp_path), tmp_path / "log"
    task = task_of(job, evaluate=False, cwd=tmp_path, log=log).model_dump_json()
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command, pipe = [sys.executable, "-c", code], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=subprocess.DEVNULL, env=buffered) as process:
        assert process.stdin is not None
        process.stdin.write(f"{task}\n".encode())
        process.stdin.flush()  # it stays open: when it closes, the job stops
        assert process.wait(120) == 0
    assert log.read_text() == "printed by a network\n"


def test_a_run_that_another_process_holds_is_not_closed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    job = job_in(tmp_path)
    run = RunDirectory.create(job.run, config=b"{}\n", overrides=[], status=new_status(job.identity))
    with caplog.at_level(logging.WARNING), lock_run(run):
        close(job, State.FAILED, "it broke")
        assert read_status(run).state is State.RUNNING
    assert "Could not update a, whose job is FAILED: a run directory can be used by only one process" in caplog.text
    close(job, State.FAILED, "it broke")
    assert (read_status(run).state, read_status(run).reason) == (State.FAILED, "it broke")


def test_a_status_that_cannot_be_read_ends_no_sweep(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    job = job_in(tmp_path)
    run = RunDirectory.create(job.run, config=b"{}\n", overrides=[], status=new_status(job.identity))
    (run.path / "status.json").write_text("{")
    close(job, State.FAILED, "it broke")
    assert "status.json of a must be a JSON document" in caplog.text


def test_a_run_on_which_another_machine_works_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = job_in(tmp_path)
    status = new_status(job.identity).model_copy(update={"host": "elsewhere"})
    run = RunDirectory.create(job.run, config=b"{}\n", overrides=[], status=status)
    (run.path / ".lock").touch()  # its heartbeat; its lock does not reach this machine
    before = (run.path / "status.json").read_bytes()
    code = (
        'import sys; print(\'{"kind": "ready"}\', flush=True); sys.stdin.readline(); '
        'print(\'{"kind": "ended", "state": "FAILED", "reason": "held elsewhere"}\', flush=True)'
    )
    monkeypatch.setattr(place, "COMMAND", (sys.executable, "-c", code))
    process = JobProcess({})
    process.give(job, task_of(job, evaluate=False, cwd=tmp_path, log=tmp_path / "log"), Limits())
    deadline = time.monotonic() + 60
    while (outcome := process.poll()) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert outcome is not None
    assert (outcome.state, outcome.reason) == (State.FAILED, "held elsewhere")
    assert (run.path / "status.json").read_bytes() == before


def test_a_process_that_cannot_be_started_is_a_loss_of_its_job_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(environment: object) -> JobProcess:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    job = job_in(tmp_path)
    engine = LocalEngine(
        Slots(2, None), Limits(), 2, lambda one: task_of(one, evaluate=False, cwd=tmp_path, log=tmp_path / "log")
    )
    monkeypatch.setattr(local, "JobProcess", refuse)
    engine.submit(job)
    (outcome,) = engine.wait(0.0)
    assert (outcome.state, outcome.is_lost) == (State.LOST, True)
    assert outcome.reason == "its process could not be started: Resource temporarily unavailable"
    assert engine.wait(0.0) == []


def test_a_spare_process_that_cannot_be_started_stops_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(environment: object) -> JobProcess:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    engine = LocalEngine(Slots(1, None), Limits(), 2, lambda one: pytest.fail("no job is given"))
    running: Any = SimpleNamespace(is_ready=True, poll=lambda: None, kill=lambda: None)
    engine._running[0] = running
    monkeypatch.setattr(local, "JobProcess", refuse)
    assert engine.wait(0.1) == []
    assert engine._running == {0: running}
