"""Searches as a user starts them: light jobs in processes that can be killed, their documents and their reports."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest
from sweeper import Sweeper, lines_of, state_of

SPACE = ("optimizer.learning_rate=tag(log,interval(0.01,0.5))", "optimizer.l2=interval(0,0.01)", "reg=off,on")
COMMON = ("data.validation_size=200", "measure=fast", "measure.gamma.samples=200", "sweep.search=optuna")
EPOCHS = 10
TRIALS, KILLS = 40, 3


def test_a_search_by_two_objectives_leaves_its_front_everywhere(light: Sweeper) -> None:
    arguments = (*SPACE[:2], *COMMON, "sweep.trials=4", "sweep.objective=gap,gamma", "sweep.allow_test=true")
    code, document, err = light.run(*arguments, "schedule.epochs=2", "sweep.name=front", "engine.jobs=2")
    assert (code, document["finished"], document["failed"]) == (0, 4, 0), err
    found = document["search"]
    assert [one["name"] for one in found["objectives"]] == ["gap", "gamma"]
    assert [one["state"] for one in found["trials"]] == ["COMPLETE"] * 4
    assert {one["run"] for one in found["trials"]} == set(light.runs())
    assert found["front"]
    assert found["uses_test"]
    assert any("their test scores are biased" in note for note in document["comparison"]["notes"])
    assert document["comparison"]["search"] == found
    folder = light.folder / "sweeps" / "front"
    assert json.loads((folder / "search.json").read_text()) == found
    page = (folder / "comparison.html").read_text()
    assert "Result of the search" in page
    assert "Pareto front" in page
    assert "their test scores are biased" in page
    assert tracked(light.folder)["search/importance/gamma/optimizer.learning_rate"] > 0.5


def tracked(folder: Path) -> dict[str, float]:
    """Return the metrics of a search's run in MLflow."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/mlflow/mlflow.db")
    experiment = client.get_experiment_by_name("infomcr")
    (parent,) = client.search_runs([experiment.experiment_id], "tags.`infomcr.kind` = 'sweep'")
    assert parent.data.tags["infomcr.test_set_chose"] == "true"
    assert [one.path for one in client.list_artifacts(parent.info.run_id)] == ["search.json"]
    return dict(parent.data.metrics)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("jobs", "pruner"), [(1, "null"), (2, "median")])
def test_forty_trials_survive_three_kills(
    light: Sweeper, tmp_path_factory: pytest.TempPathFactory, jobs: int, pruner: str
) -> None:
    arguments = (
        *SPACE,
        *COMMON,
        f"sweep.trials={TRIALS}",
        f"schedule.epochs={EPOCHS}",
        f"engine.jobs={jobs}",
        f"sweep.pruner={pruner}",
        "sweep.name=searched",
    )
    chance = random.Random(3)
    for victim in ("sweep", "job", "both")[:KILLS]:
        kill_during(light, arguments, victim, chance)
    stamps = {name: stamp(run) for name, run in light.runs().items() if state_of(run) == "FINISHED"}
    code, document, err = light.run(*arguments)
    assert code == 0, err
    found = document["search"]
    states = Counter(one["state"] for one in found["trials"])
    assert states["COMPLETE"] + states["PRUNED"] == len(found["trials"]) == TRIALS, states
    assert {one["run"] for one in found["trials"]} == set(light.runs())
    assert len(light.runs()) == TRIALS
    for run in light.runs().values():
        epochs = [line["epoch"] for line in lines_of(run)]
        assert epochs == list(range(1, len(epochs) + 1))
        assert len(epochs) == EPOCHS or state_of(run) == "KILLED"
    assert all(stamp(light.runs()[name]) == before for name, before in stamps.items())
    assert not light.workers()
    assert_children(light.folder, TRIALS)
    if jobs == 1:
        undisturbed = Sweeper(tmp_path_factory.mktemp("undisturbed"), light.program)
        _, alone, err = undisturbed.run(*arguments, "tracking=off", "sweep.compare=false")
        assert alone["search"] == found, err


def kill_during(light: Sweeper, arguments: tuple[str, ...], victim: str, chance: random.Random) -> None:
    """Kill the sweep, a job, or both with SIGKILL once some more trials have ended."""
    before, more = len(light.runs()), chance.randint(4, 10)
    process = light.start(*arguments)
    deadline = time.monotonic() + 600
    while len(light.runs()) < before + more and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    if victim != "sweep":
        workers = light.workers()
        assert workers
        kill(workers[0])
    if victim == "job":
        time.sleep(3)  # the sweep tries it again
    process.kill()
    process.communicate()


def kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


def stamp(run: Path) -> int:
    return (run / "metrics.jsonl").stat().st_mtime_ns


def assert_children(folder: Path, count: int) -> None:
    """Assert that MLflow holds one finished parent, and one child for each trial."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/mlflow/mlflow.db")
    experiment = client.get_experiment_by_name("infomcr")
    runs: list[Any] = client.search_runs([experiment.experiment_id], max_results=1000)
    (parent,) = [run for run in runs if run.data.tags.get("infomcr.kind") == "sweep"]
    children = [run for run in runs if run.data.tags.get("infomcr.kind") == "run"]
    assert len(children) == count
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert parent.info.status == "FINISHED"
    assert {run.info.status for run in children} <= {"FINISHED", "KILLED"}
