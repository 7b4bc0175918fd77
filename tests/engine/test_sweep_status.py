"""`sweep --status` reads what has become of a sweep from its folder, while it runs, after it and elsewhere."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from sweeper import Sweeper

from infomcr_cli.engine.sweep_plan import plan_sweep
from infomcr_cli.engine.sweep_status import SweepStatus, read_sweep
from infomcr_cli.errors import InputError
from infomcr_cli.runs import RunDirectory, State, Status, finished, new_status
from infomcr_cli.runs.lock import lock_run
from infomcr_cli.runs.status import status_document
from infomcr_cli.sweep_status import StatusResult, sweep_status
from tests.conftest import CommandLine

FOREVER = ("reg=off", "optimizer.momentum=0.66", "seed=0,1", "engine.jobs=1", "tracking=off", "sweep.name=slow")


def make_sweep(root: Path, states: list[Status | None], *, begun: float | None = None, name: str = "made") -> Path:
    """Write the folder of a sweep with a job for each status, None for one that has not begun."""
    folder, jobs = root / "sweeps" / name, []
    (folder / "logs").mkdir(parents=True)
    (root / "runs").mkdir(exist_ok=True)
    for number, status in enumerate(states):
        identifier = f"{number:016x}"
        run = root / "runs" / identifier
        jobs.append({"id": identifier, "overrides": [f"seed={number}"], "state": None, "run": None})
        jobs[-1] |= {"directory": str(run), "name": f"seed={number}", "epochs": 4, "cost": 4.0}
        if status is not None:
            run.mkdir()
            (run / "config.yaml").write_text("seed: 0\n")
            (run / "status.json").write_bytes(status_document(status))
    document = {"format": 1, "uid": "0" * 32, "overrides": [], "jobs": jobs, "begun": begun, "evaluate": False}
    (folder / "sweep.json").write_text(json.dumps(document))
    return folder


def ended(state: State, begun: float, seconds: float, reason: str | None = None) -> Status:
    started = new_status("ab" * 32).model_copy(update={"started": begun, "epoch": 4})
    return finished(started, state, reason, ended=begun + seconds)


def states_of(status: SweepStatus) -> dict[str, int]:
    """Return the counts of the JSON document that are not zero."""
    document = StatusResult(status).to_dict()
    words = ("finished", "running", "failed", "killed", "lost", "not_begun")
    return {word: document[word] for word in words if document[word]}


def test_jobs_are_counted_by_the_states_of_their_runs(tmp_path: Path) -> None:
    now = time.time()
    lost = new_status("ab").model_copy(update={"started": now - 60, "pid": 1})
    states = [ended(state, now - 90, 30) for state in (State.FINISHED, State.FINISHED, State.FAILED, State.KILLED)]
    status = read_sweep(make_sweep(tmp_path, [*states, lost, None, None, None]))
    assert states_of(status) == {"finished": 2, "failed": 1, "killed": 1, "lost": 1, "not_begun": 3}
    assert not status.is_active
    assert status.seconds_left is None


def test_throughput_counts_what_ended_since_the_sweep_was_last_begun(tmp_path: Path) -> None:
    begun = time.time() - 7200
    states: list[Status | None] = [ended(State.FINISHED, begun - 9000, 60)]  # of a former session
    states += [ended(State.FINISHED, begun + 300 * number, 300) for number in range(4)]
    status = read_sweep(make_sweep(tmp_path, states, begun=begun))
    assert status.jobs_per_hour == pytest.approx(12.0)  # 4 in 1200 s: it ended with the last one


def test_a_resumed_job_counts_in_the_throughput(tmp_path: Path) -> None:
    begun = time.time() - 7200
    states: list[Status | None] = [ended(State.FINISHED, begun - 9000, 9600)]  # begun before, ended 600 s after
    status = read_sweep(make_sweep(tmp_path, states, begun=begun))
    assert status.jobs_per_hour == pytest.approx(6.0)


@pytest.mark.parametrize("entry", [{"begun": 1e14}, {"unproposed": 1e13}])
def test_numbers_of_a_strange_sweep_json_are_bounded(tmp_path: Path, entry: dict[str, float]) -> None:
    file = make_sweep(tmp_path, [None]) / "sweep.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | entry))
    status = read_sweep(file.parent)
    assert list(StatusResult(status).renderables(80))
    assert status.total <= 1 + 10_000  # as many as a search can have: the time left is summed over them


def test_the_last_sweep_is_the_one_that_was_begun_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, begun in (("late", 2e9), ("early", 1e9)):  # copied, or measured again, in this order
        make_sweep(tmp_path, [None], begun=begun, name=name)
    assert sweep_status([]).status.folder.name == "late"


def test_a_failed_job_shows_its_reason_and_the_end_of_its_log(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path, [ended(State.FAILED, 1e9, 5, "loss is NaN at step 7"), None])
    log = folder / "logs" / f"{0:016x}.log"
    log.write_text("".join(f"line {number}\n" for number in range(50)) + "\x1b[31mValueError: NaN\n")
    text = "\n".join(map(str, StatusResult(read_sweep(folder)).renderables(80)))
    assert "FAILED  seed=0" in text
    assert "loss is NaN at step 7" in text
    assert "| line 49" in text
    assert "line 3\n" not in text
    assert "\x1b" not in text


def test_a_sweep_that_was_moved_is_read_where_it_lies_now(tmp_path: Path) -> None:
    make_sweep(tmp_path / "old", [ended(State.FINISHED, 1e9, 5), None])
    shutil.move(tmp_path / "old", tmp_path / "new")
    status = read_sweep(tmp_path / "new" / "sweeps" / "made")
    assert states_of(status)["finished"] == 1
    assert status.jobs[0].run == tmp_path / "new" / "runs" / f"{0:016x}"


def test_a_run_that_cannot_be_read_counts_as_failed_and_the_others_are_shown(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path, [ended(State.FINISHED, 1e9, 5), ended(State.FINISHED, 1e9, 5)])
    (tmp_path / "runs" / f"{0:016x}" / "status.json").write_text("{")
    status = read_sweep(folder)
    assert (states_of(status)["finished"], status.jobs[0].state) == (1, State.FAILED)
    assert "status.json" in str(status.jobs[0].to_dict()["reason"])


def test_a_running_job_whose_metrics_cannot_be_read_is_shown(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path, [new_status("ab" * 32)])
    run = tmp_path / "runs" / f"{0:016x}"
    (run / "metrics.jsonl").mkdir()
    with lock_run(RunDirectory(run)):
        assert states_of(read_sweep(folder)) == {"running": 1}


def test_a_sweep_of_a_former_version_is_read(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path, [ended(State.FINISHED, 1e9, 5)])
    run = str(tmp_path / "runs" / f"{0:016x}")
    jobs = [{"id": "a", "overrides": ["seed=0"], "state": "FINISHED", "run": run}, {"id": "b", "run": None}]
    (folder / "sweep.json").write_text(json.dumps({"jobs": jobs}))
    assert states_of(read_sweep(folder)) == {"finished": 1, "not_begun": 1}


@pytest.mark.parametrize("content", ["[]", "{", '{"jobs": [1]}', '{"jobs": {}}'])
def test_a_broken_sweep_json_is_refused(tmp_path: Path, content: str) -> None:
    folder = make_sweep(tmp_path, [None])
    (folder / "sweep.json").write_text(content)
    with pytest.raises(InputError, match=r"sweep\.json of made"):
        read_sweep(folder)


def test_a_sweep_is_found_by_name_folder_overrides_or_as_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from infomcr_cli.engine.directory import name_of

    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="that was started"):
        sweep_status([])
    make_sweep(tmp_path, [None], name="first")
    unnamed = make_sweep(tmp_path, [None, None], name=name_of(["reg=on,off", "seed=0,1"]))
    found = sweep_status([])
    assert (found.status.folder.name, found.others) == (unnamed.name, ("first",))
    assert sweep_status(["first"]).status.folder.name == "first"
    assert sweep_status(["sweeps/first"]).status.folder.name == "first"
    assert sweep_status(["reg=on,off", "sweep.name=first"]).status.folder.name == "first"
    same = sweep_status(["seed=0,1", "engine.jobs=2", "reg=on,off"])  # in any order, however it is carried out
    assert same.status.folder.name == unnamed.name
    with pytest.raises(InputError, match="Did you mean 'first'"):
        sweep_status(["frist"])


def test_status_of_ten_thousand_jobs_takes_two_seconds_and_no_tensorflow(tmp_path: Path) -> None:
    make_sweep(tmp_path, [ended(State.FINISHED, 1e9, 5)] * 6000 + [None] * 4000)
    code = """
import sys, time
began = time.process_time()
from infomcr_cli.sweep_status import sweep_status
result = sweep_status(["made"])
document, shown = result.to_dict(), list(result.renderables(80))
heavy = [name for name in ("tensorflow", "keras", "mlflow", "pandas") if name in sys.modules]
print(document["finished"], document["not_begun"], heavy, time.process_time() - began)
"""
    out = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    done, waiting, heavy, seconds = out.split()
    assert (done, waiting, heavy) == ("6000", "4000", "[]")
    assert float(seconds) < 2.0  # of this process; the clock on the wall also counts those of others


@pytest.mark.slow
def test_ten_thousand_jobs_are_planned_in_ten_seconds(tmp_path: Path) -> None:
    began = time.process_time()
    plan = plan_sweep(
        ["data=digits", "model=mlp", "seed=range(10000)", f"runs_dir={tmp_path / 'runs'}", "tracking=off"], None
    )
    assert len(plan.due) == 10_000
    assert time.process_time() - began < 10.0


def until(light: Sweeper, name: str, condition: Any) -> SweepStatus:
    deadline, folder = time.monotonic() + 60, light.folder / "sweeps" / name
    while time.monotonic() < deadline:
        if (folder / "sweep.json").is_file() and condition(status := read_sweep(folder)):
            return status
        time.sleep(0.1)
    raise AssertionError("the sweep did not come that far")


@pytest.fixture
def running(light: Sweeper) -> tuple[Sweeper, subprocess.Popen[str]]:
    """A sweep whose first job never ends."""
    return light, light.start(*FOREVER)


def test_a_running_sweep_is_seen_from_another_process(running: tuple[Sweeper, subprocess.Popen[str]]) -> None:
    light, process = running
    status = until(light, "slow", lambda status: status.counts[State.RUNNING] == 1)
    assert status.process == str(process.pid)
    assert states_of(status) == {"running": 1, "not_begun": 1}
    (job,) = (job for job in status.jobs if job.state is State.RUNNING)
    assert job.to_dict()["pid"] in {worker.pid for worker in light.workers()}
    process.kill()
    process.wait()
    for worker in light.workers():
        with suppress(psutil.NoSuchProcess):  # it may have ended with its parent
            worker.kill()
            worker.wait()
    status = until(light, "slow", lambda status: not status.is_active)
    assert states_of(status)["lost"] == 1


def test_the_time_left_of_a_running_sweep_is_known_once_a_job_has_ended(light: Sweeper) -> None:
    light.start("reg=off", "seed=0,1,2,3,4,5", "schedule.epochs=8", *FOREVER[3:], LIGHT_PACE="0.05")
    status = until(light, "slow", lambda status: status.counts[State.FINISHED] >= 2 and status.is_active)
    assert status.seconds_left is not None
    assert 0 < status.seconds_left < 60
    assert status.jobs_per_hour is not None


def test_watch_ends_with_the_sweep(command_line: CommandLine, tmp_path: Path) -> None:
    make_sweep(tmp_path, [ended(State.FINISHED, 1e9, 5), ended(State.FAILED, 1e9, 5, "it broke")])
    answer = command_line("sweep", "--status", "made", "--watch")
    assert answer.code == 0, answer.err
    assert "2 jobs: 1 finished, 0 running, 1 failed, 0 not begun" in answer.out
    assert json.loads(command_line("sweep", "--status", "--json").out)["failed"] == 1
    assert command_line("sweep", "--status", "mad").code == 2
