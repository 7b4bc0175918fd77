"""Sweeps of light jobs, in processes that can be killed: what is done stays done, what is left goes on."""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from sweeper import Sweeper, epochs_of, lines_of, state_of

from infomcr_cli.runs import RunDirectory, State, finished, lock_run, read_status, write_status

QUIET = ("tracking=off", "sweep.compare=false", "engine.jobs=2")
GRID = ("seed=range(3)", "optimizer.learning_rate=0.1,0.2", "schedule.epochs=4")


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def test_a_repeated_sweep_skips_and_a_wider_grid_runs_what_is_new(light: Sweeper) -> None:
    code, document, _ = light.run("seed=0,1", "schedule.epochs=2", *QUIET)
    assert (code, document["finished"], document["skipped"], document["failed"]) == (0, 2, 0, 0)
    before = {name: (run / "status.json").read_bytes() for name, run in light.runs().items()}
    code, document, _ = light.run("seed=0,1,2", "schedule.epochs=2", *QUIET)
    assert (code, document["finished"], document["skipped"]) == (0, 1, 2)
    assert [job["state"] for job in document["jobs"]] == ["SKIPPED", "SKIPPED", "FINISHED"]
    assert len({job["id"] for job in document["jobs"]}) == 3
    after = light.runs()
    assert {name: (after[name] / "status.json").read_bytes() for name in before} == before
    assert all((run / "measures.json").is_file() for run in after.values())


def test_finished_runs_are_only_measured(light: Sweeper) -> None:
    light.run("seed=0", "sweep.evaluate=false", "schedule.epochs=2", *QUIET)
    (run,) = light.runs().values()
    trained = epochs_of(run)
    assert not (run / "measures.json").exists()
    _, document, _ = light.run("seed=0", "schedule.epochs=2", *QUIET)
    assert document["jobs"][0]["state"] == "FINISHED"
    assert (run / "measures.json").is_file()
    assert epochs_of(run) == trained
    assert len(light.runs()) == 1
    assert len(list((light.folder / "sweeps").iterdir())) == 1, "what is done at a sweep's end makes it no other one"


def test_an_evaluation_from_before_the_end_is_made_anew(light: Sweeper) -> None:
    light.run("seed=0", "schedule.epochs=2", *QUIET)
    (run,) = light.runs().values()
    measures = json.loads((run / "measures.json").read_text())
    measures["checkpoints"]["last"]["step"] -= 4
    (run / "measures.json").write_text(json.dumps(measures))
    assert light.run("seed=0", "schedule.epochs=2", *QUIET)[1]["finished"] == 1
    assert json.loads((run / "measures.json").read_text())["checkpoints"]["last"]["step"] == 8


def test_what_was_measured_by_fewer_measures_or_otherwise_is_measured_anew(light: Sweeper) -> None:
    def states(*arguments: str) -> list[str]:
        document = light.run("seed=0", "schedule.epochs=2", *QUIET, *arguments)[1]
        return [job["state"] for job in document["jobs"]]

    assert states("measure=fast") == ["FINISHED"]
    assert states("measure=all", "measure.sharpness.rho=0.1") == ["FINISHED"]
    assert states("measure=standard", "measure.sharpness.rho=0.1") == ["SKIPPED"]
    (run,) = light.runs().values()
    before = json.loads((run / "measures.json").read_text())["checkpoints"]["last"]["measures"]
    assert states("measure.names=[sharpness]") == ["FINISHED"]
    after = json.loads((run / "measures.json").read_text())["checkpoints"]["last"]["measures"]
    assert [one["sharpness"]["convention"]["sharpness.rho"] for one in (before, after)] == [0.1, 0.05]
    assert after.keys() == before.keys()


def test_a_run_that_another_process_holds_fails_alone(light: Sweeper) -> None:
    grid = ("seed=0,1", "schedule.epochs=2", *QUIET)
    light.run(*grid)
    first, second = (RunDirectory.open(path) for path in light.runs().values())
    for run in (first, second):
        write_status(run, finished(read_status(run), State.KILLED, "SIGINT"))
    with lock_run(first):
        code, document, err = light.run(*grid, LIGHT_PATIENCE="0.5")
    assert code == 1, err
    jobs = {Path(job["run"]).name: job for job in document["jobs"]}
    assert {name: job["state"] for name, job in jobs.items()} == {first.name: "FAILED", second.name: "FINISHED"}
    assert f"in use by process {os.getpid()}" in jobs[first.name]["reason"]
    assert read_status(first).state is State.KILLED
    assert json.loads(next(light.folder.glob("sweeps/*/sweep.json")).read_text())["jobs"] != []
    assert light.run(*grid)[1]["finished"] == 1


def test_failures_stay_in_their_job_and_are_named(light: Sweeper) -> None:
    limits = ("engine.timeout=8", "engine.memory=600MB", "engine.jobs=4")
    arguments = ("optimizer.momentum=0.9,0.13,0.66,0.77", "schedule.epochs=2", *QUIET, *limits)
    code, document, err = light.run(*arguments)
    assert code == 1
    jobs = {job["overrides"][0].partition("=")[2]: job for job in document["jobs"]}
    assert {momentum: job["state"] for momentum, job in jobs.items()} == {
        "0.9": "FINISHED",
        "0.13": "FAILED",
        "0.66": "FAILED",
        "0.77": "FAILED",
    }
    assert "ArithmeticError: this job fails on purpose" in jobs["0.13"]["reason"]
    assert any("fails on purpose" in line for line in jobs["0.13"]["log"])
    assert "exceeded engine.timeout=8 seconds" in jobs["0.66"]["reason"]
    assert "more than engine.memory=0.6 GB" in jobs["0.77"]["reason"]
    assert all(jobs[m]["reason"].split(",")[0] in err for m in ("0.13", "0.66", "0.77"))
    assert sorted(state_of(run) for run in light.runs().values()) == ["FAILED"] * 3 + ["FINISHED"]
    assert not light.workers()


def test_failed_jobs_wait_for_retry_failed(light: Sweeper) -> None:
    arguments = ("optimizer.momentum=0.13", "schedule.epochs=2", *QUIET)
    assert light.run(*arguments)[0] == 1
    code, document, err = light.run(*arguments)
    assert (code, document["failed"]) == (1, 1)
    assert "--retry-failed" in document["jobs"][0]["reason"]
    assert "1/1" not in err
    assert "1/1  FAILED" in light.run(*arguments, "--retry-failed")[2]


def test_fail_fast_stops_the_others_at_a_checkpoint(light: Sweeper) -> None:
    slow = ("schedule.epochs=500", "optimizer.momentum=0.9,0.14,0.8")
    code, document, _ = light.run(*slow, *QUIET, "--fail-fast")
    assert code == 1
    assert [job["state"] for job in document["jobs"]] == ["KILLED", "FAILED", None]
    assert (document["killed"], document["failed"], document["not_begun"]) == (1, 1, 1)
    assert document["jobs"][2]["run"] is None
    assert {state_of(run) for run in light.runs().values()} <= {"FAILED", "KILLED"}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_leaves_checkpoints_and_nothing_running(light: Sweeper, number: int, code: int) -> None:
    arguments = ("seed=0,1,2", "schedule.epochs=60", *QUIET)
    process = light.start(*arguments)
    wait_until(lambda: len(list(light.folder.glob("runs/*/checkpoints/*.safetensors"))) > 4)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert not light.workers()
    assert {state_of(run) for run in light.runs().values()} == {"KILLED"}
    steps = {path.name for path in light.folder.glob("runs/*/checkpoints/*.safetensors")}
    assert any(name.startswith("step-") for name in steps) or len(steps) > 2
    if number == signal.SIGINT:
        assert light.run(*arguments)[1]["finished"] == 3


def test_the_printed_command_continues_an_interrupted_sweep(light: Sweeper) -> None:
    own = light.folder / "my conf" / "optimizer"
    own.mkdir(parents=True)
    (own / "mine.yaml").write_text("defaults: [sgd, _self_]\nmomentum: 0.5\n")
    arguments = ("optimizer=mine", "seed=0,1", "schedule.epochs=80", "runs_dir='my runs/$HOME'", *QUIET)
    process = light.start("--config-dir", "my conf", *arguments)
    wait_until(lambda: list(light.folder.glob("my runs/$HOME/*/checkpoints/*.safetensors")))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    command = re.search(r"Continue with: infomcr sweep (.*)$", err, re.M)
    assert command is not None, err
    assert light.run(*shlex.split(command[1]))[1]["finished"] == 2


def test_a_lost_sweep_takes_its_jobs_along(light: Sweeper) -> None:
    process = light.start("seed=0,1", "schedule.epochs=1000", *QUIET)
    wait_until(lambda: len(list(light.folder.glob("runs/*/checkpoints/*.safetensors"))) > 4)
    process.kill()
    wait_until(lambda: not light.workers(), 20)
    assert {state_of(run) for run in light.runs().values()} == {"KILLED"}


def test_kills_at_random_moments_change_nothing(light: Sweeper, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The sweep, one job or both die; what comes out is what an undisturbed sweep makes."""
    undisturbed = Sweeper(tmp_path_factory.mktemp("undisturbed"), light.program)
    assert undisturbed.run(*GRID, *QUIET)[1]["finished"] == 6
    chance = random.Random(11)
    for kill in range(4):
        process = light.start(*GRID, *QUIET, LIGHT_PACE="0.1")
        wait_until(lambda process=process: light.workers() or process.poll() is not None)
        time.sleep(chance.uniform(0.5, 4.0))
        victims = [[process], light.workers()[:1], [process, *light.workers()[:1]]][kill % 3]
        for victim in victims:
            kill_one(victim)
        if kill % 3 == 1:
            time.sleep(0.5)
            process.kill()
        process.communicate()
    code, document, err = light.run(*GRID, *QUIET)
    assert code == 0, err
    assert {job["state"] for job in document["jobs"]} <= {"FINISHED", "SKIPPED"}
    ours, theirs = light.runs(), undisturbed.runs()
    assert list(ours) == list(theirs)
    for name, run in ours.items():
        assert state_of(run) == "FINISHED"
        assert lines_of(run) == lines_of(theirs[name])
        assert epochs_of(run) == epochs_of(theirs[name])
        assert (run / "measures.json").read_bytes() == (theirs[name] / "measures.json").read_bytes()


def kill_one(victim: object) -> None:
    try:
        victim.kill()  # type: ignore[attr-defined]
    except psutil.NoSuchProcess:
        return


def test_a_killed_job_is_retried(light: Sweeper) -> None:
    process = light.start("seed=0", "schedule.epochs=40", *QUIET)
    wait_until(lambda: list(light.folder.glob("runs/*/checkpoints/*.safetensors")))
    light.workers()[0].kill()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    (run,) = light.runs().values()
    assert state_of(run) == "FINISHED"
    assert [line["epoch"] for line in lines_of(run)] == list(range(1, 41))


def test_two_sweeps_at_once_share_their_jobs(light: Sweeper) -> None:
    grid = ("seed=0,1", "schedule.epochs=20", *QUIET)
    first, second = light.start(*grid, "sweep.name=a", "--json"), light.start(*grid, "sweep.name=b", "--json")
    assert first.wait(120) == 0
    assert second.wait(120) == 0
    assert len(light.runs()) == 2
    assert all([line["epoch"] for line in lines_of(run)] == list(range(1, 21)) for run in light.runs().values())


def test_one_sweep_is_carried_out_once(light: Sweeper) -> None:
    grid = ("seed=0", "schedule.epochs=1000", *QUIET)
    process = light.start(*grid)
    wait_until(light.workers)
    code, _, err = light.run(*grid)
    assert code == 2
    assert f"Process {process.pid} is running it" in err


def test_a_dry_run_makes_nothing(command_line: Callable[..., Any], tmp_path: Path) -> None:
    answer = command_line("sweep", "reg=on,off", "seed=range(2)", "--dry-run")
    assert answer.code == 0
    assert "4 jobs" in answer.out
    assert "reg=off seed=1" in answer.out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("engine=ray", "seed=0,1"), "several machines cannot share SQLite"),
        (("engine.jobs=0",), "engine.jobs"),
        (("engine=kubernetes",), "engine must be one of its choices"),
        (("sweep.exclude=reg",), "KEY=VALUE"),
        (("data=npz", "data.root=nowhere.npz"), "nowhere.npz"),
    ],
)
def test_bad_input_exits_2_and_leaves_nothing(
    command_line: Callable[..., Any], tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    answer = command_line("sweep", *arguments)
    assert answer.code == 2
    assert message in answer.err
    assert not list(tmp_path.iterdir())
