"""The process of a task, with the signals that Slurm sends and without Slurm."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from servers import wait_until
from sweeper import epochs_of, lines_of, state_of

from infomcr_cli.config.compose import compose_run
from infomcr_cli.config.schema.sweep import SlurmEngineConfig
from infomcr_cli.engine.job import Job
from infomcr_cli.engine.limits import Limits
from infomcr_cli.engine.messages import task_of
from infomcr_cli.engine.slurm_array import SlurmArray, new_array
from infomcr_cli.runs import RunDirectory, State, finished, new_status, read_status

PROGRAM = str(Path(__file__).with_name("fake_slurm_task.py"))
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def array(tmp_path: Path) -> SlurmArray:
    """An array of two tasks of some seconds."""
    config = compose_run(["engine=slurm", "reg=off", "schedule.epochs=8", f"runs_dir={tmp_path / 'runs'}"])
    (tmp_path / "runs").mkdir()
    assert isinstance(config.engine, SlurmEngineConfig)
    jobs = [Job(letter * 64, (), letter, config, tmp_path / "runs" / letter) for letter in "ab"]
    tasks = [task_of(job, evaluate=False, cwd=tmp_path, log=tmp_path / f"{job.label}.log") for job in jobs]
    return new_array(tmp_path / "sweeps" / "x", tasks, config.engine, Limits())


@pytest.fixture
def start(array: SlurmArray, tmp_path: Path) -> Start:
    """Start a task as its batch script does; `scontrol` notes what it is called with, `squeue` shows `queue.txt`."""
    program = tmp_path / "bin" / "scontrol"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/scontrol.txt\n')
    program.with_name("squeue").write_text(f"#!/bin/sh\ncat {tmp_path}/queue.txt\n")
    for path in program.parent.iterdir():
        path.chmod(0o755)
    (tmp_path / "queue.txt").write_text("17|0|COMPLETING|n1|None|x\n")

    def started(index: int, pace: float = 0.02) -> subprocess.Popen[bytes]:
        slurm = {"SLURM_ARRAY_JOB_ID": "17", "SLURM_ARRAY_TASK_ID": str(index), "SLURMD_NODENAME": "n1"}
        path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, **slurm, "LIGHT_PACE": str(pace), "PATH": path}
        return subprocess.Popen([sys.executable, PROGRAM, str(array.folder)], env=environment)

    return started


def interrupted(start: Start, run: Path, number: int) -> int:
    before, process = len(epochs_of(run)), start(0, pace=0.1)
    try:
        wait_until(lambda: len(epochs_of(run)) > before, 60)
        process.send_signal(number)
        return process.wait(60)
    finally:
        process.kill()
        process.wait()


def test_an_interrupted_task_goes_on_with_the_same_bits(array: SlurmArray, start: Start, tmp_path: Path) -> None:
    run, other = tmp_path / "runs" / "a", tmp_path / "runs" / "b"
    assert interrupted(start, run, signal.SIGTERM) == 143
    status = read_status(RunDirectory(run))
    assert (str(status.state), status.slurm_job, status.slurm_node) == ("KILLED", "17_0", "n1")
    assert not array.reported()  # what follows is Slurm's to say
    assert interrupted(start, run, signal.SIGUSR2) == 0
    assert (tmp_path / "scontrol.txt").read_text() == "requeue 17_0\n"
    assert not array.reported()
    both = [start(index) for index in (0, 1)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert array.reported() == {0, 1}
    assert lines_of(run) == lines_of(other)
    assert epochs_of(run) == epochs_of(other)
    assert json.loads(array.starts(0).read_text())["count"] == 3


def test_a_task_that_slurm_is_not_ending_puts_itself_back(start: Start, tmp_path: Path) -> None:
    (tmp_path / "queue.txt").write_text("17|0|RUNNING|n1|None|x\n")  # somebody else sent the signal
    assert interrupted(start, tmp_path / "runs" / "a", signal.SIGTERM) == 0
    assert (tmp_path / "scontrol.txt").read_text() == "requeue 17_0\n"


def test_a_task_that_gets_no_further_fails_and_says_what_it_needs(
    array: SlurmArray, start: Start, tmp_path: Path
) -> None:
    killed = finished(new_status("a" * 64), State.KILLED, "its Slurm time limit is near")
    RunDirectory.create(tmp_path / "runs" / "a", config=b"{}\n", overrides=[], status=killed)
    array.starts(0).write_text(json.dumps({"count": 7, "fruitless": 5, "point": "step 0", "is_excused": False}))
    assert start(0).wait(60) == 1
    report = json.loads(array.result(0).read_text())
    assert (report["state"], report["is_lost"]) == ("FAILED", False)
    assert "engine.time" in report["reason"]
    status = read_status(RunDirectory(tmp_path / "runs" / "a"))
    assert (status.state, status.reason) == (State.FAILED, report["reason"])


def test_a_task_whose_process_dies_reports_a_loss(array: SlurmArray, start: Start, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "a"
    process = start(0, pace=0.1)
    wait_until(lambda: epochs_of(run), 60)
    os.kill(read_status(RunDirectory(run)).pid or 0, signal.SIGKILL)
    assert process.wait(60) == 1
    report = json.loads(array.result(0).read_text())
    assert (report["state"], report["is_lost"]) == ("LOST", True)
    assert "SIGKILL" in report["reason"]
    assert start(0).wait(60) == 0
    assert state_of(run) == "FINISHED"
