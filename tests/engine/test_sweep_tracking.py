"""One parent run in MLflow and a child for each job, whatever happened on the way."""

from __future__ import annotations

import shutil
import time
from typing import Any

import pytest
from sweeper import Sweeper

GRID = ("seed=range(3)", "schedule.epochs=12", "engine.jobs=2", "sweep.compare=false")


def records(sweeper: Sweeper, experiment: str = "infomcr") -> list[Any]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{sweeper.folder}/mlflow/mlflow.db")
    found = client.get_experiment_by_name(experiment)
    return list(client.search_runs([found.experiment_id]))


def assert_one_family(sweeper: Sweeper, jobs: int) -> None:
    """Assert that MLflow holds one finished parent and under it one finished child for each job, each metric once."""
    runs = records(sweeper)
    parents = [run for run in runs if run.data.tags.get("infomcr.kind") == "sweep"]
    children = [run for run in runs if run.data.tags.get("infomcr.kind") == "run"]
    assert len(parents) == 1
    assert len(children) == jobs
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parents[0].info.run_id}
    assert len({run.data.tags["infomcr.identity"] for run in children}) == jobs


def test_one_parent_and_a_child_for_each_job_after_kills(light: Sweeper) -> None:
    for _ in range(2):
        process = light.start(*GRID, LIGHT_PACE="0.1")
        time.sleep(6)
        process.kill()
        process.communicate()
    code, _, err = light.run(*GRID)
    assert code == 0, err
    assert_one_family(light, 3)


def test_a_parent_of_a_failure_stays_failed_and_a_lost_store_is_made_anew(light: Sweeper) -> None:
    grid = ("optimizer.momentum=0.9,0.13", "schedule.epochs=2", "engine.jobs=2", "sweep.compare=false")
    for lost in (False, True):
        if lost:
            shutil.rmtree(light.folder / "mlflow")
        code, _, err = light.run(*grid)
        assert code == 1, err
        runs = records(light)
        kinds = sorted((run.data.tags["infomcr.kind"], run.info.status) for run in runs)
        assert kinds == [("run", "FAILED"), ("run", "FINISHED"), ("sweep", "FAILED")]
        (parent,) = (run.info.run_id for run in runs if run.data.tags["infomcr.kind"] == "sweep")
        assert {run.data.tags.get("mlflow.parentRunId", parent) for run in runs} == {parent}


@pytest.mark.slow
def test_runs_that_were_there_become_children(light: Sweeper) -> None:
    light.run(*GRID, "sweep.name=first", "tracking=off")
    code, document, err = light.run(*GRID, "sweep.name=second")
    assert (code, document["skipped"]) == (0, 3), err
    assert_one_family(light, 3)


@pytest.mark.slow
def test_a_store_that_is_gone_does_not_stop_the_sweep(light: Sweeper) -> None:
    gone = "tracking.uri=http://127.0.0.1:9"
    code, document, err = light.run(*GRID, gone)
    assert (code, document["finished"]) == (0, 3)
    assert "rejects" in err
    assert light.run(*GRID)[1]["skipped"] == 3
    assert_one_family(light, 3)
