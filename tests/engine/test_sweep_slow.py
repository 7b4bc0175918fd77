"""Sweeps of real jobs that are killed, on a real cluster that loses a machine, before a real server that goes away."""

from __future__ import annotations

import importlib.util
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from servers import POSTGRES, Postgres, Server, wait_until
from sweeper import TINY, Sweeper, epochs_of, lines_of, state_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]
GRID = (*TINY, "seed=range(3)", "reg=on,off", "optimizer.learning_rate=0.1,0.05", "schedule.epochs=12")
EPOCHS = 100
KILLS = int(os.environ.get("SWEEP_KILLS", "10"))


def test_twelve_jobs_survive_ten_kills(
    real: Sweeper, tmp_path_factory: pytest.TempPathFactory, record_property: Callable[[str, object], None]
) -> None:
    undisturbed = Sweeper(tmp_path_factory.mktemp("undisturbed"), real.program)
    code, document, err = undisturbed.run(*GRID, "tracking=off", "sweep.compare=false", "engine.jobs=2")
    assert (code, document["finished"]) == (0, 12), err
    chance, done_before, kills = random.Random(5), 0, {"sweep": 0, "job": 0, "both": 0}
    for kill in range(KILLS):
        process = real.start(*GRID, "engine.jobs=2", "sweep.compare=false")
        victim = list(kills)[kill % 3]
        wait_until(lambda process=process: real.workers() or process.poll() is not None, 120)
        time.sleep(chance.uniform(2, 30))
        if victim != "sweep":
            kills[victim] += kill_one(real.workers()[:1])
        if victim == "job":
            time.sleep(chance.uniform(2, 15))
        else:
            kills["sweep"] += victim == "sweep"
        process.kill()
        process.communicate()
        finished = {name for name, run in real.runs().items() if state_of(run) == "FINISHED"}
        assert len(finished) >= done_before
        done_before = len(finished)
    stamps = {name: (run / "metrics.jsonl").stat().st_mtime_ns for name, run in real.runs().items() if done(run)}
    code, document, err = real.run(*GRID, "engine.jobs=2")
    assert code == 0, err
    assert document["finished"] + document["skipped"] == 12
    assert_same_runs(real, undisturbed)
    assert all((real.runs()[name] / "metrics.jsonl").stat().st_mtime_ns == stamp for name, stamp in stamps.items())
    assert_family(f"sqlite:///{real.folder}/mlflow/mlflow.db", 12)
    record_property("observed", f"kills {kills}, done before the last start {len(stamps)}, results identical")


def kill_one(victims: list[psutil.Process]) -> int:
    for victim in victims:
        try:
            victim.kill()
        except psutil.NoSuchProcess:
            return 0
    return len(victims)


def done(run: Path) -> bool:
    return state_of(run) == "FINISHED"


def assert_same_runs(ours: Sweeper, theirs: Sweeper) -> None:
    assert list(ours.runs()) == list(theirs.runs())
    for name, run in ours.runs().items():
        assert state_of(run) == "FINISHED"
        assert lines_of(run) == lines_of(theirs.runs()[name])
        assert epochs_of(run) == epochs_of(theirs.runs()[name])


def assert_family(uri: str, jobs: int, sweeps: int = 1) -> list[Any]:
    """Assert that MLflow holds the finished parents and one finished child for each job; return the children."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("infomcr")
    runs = list(client.search_runs([experiment.experiment_id], max_results=1000))
    parents = {run.info.run_id for run in runs if run.data.tags.get("infomcr.kind") == "sweep"}
    children = [run for run in runs if run.data.tags.get("infomcr.kind") == "run"]
    assert (len(parents), len(children)) == (sweeps, jobs)
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == parents
    assert {run.info.status for run in runs} == {"FINISHED"}
    return children


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A real Ray cluster: a head that takes no jobs and two worker nodes of one core."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    small = {"object_store_memory": 100_000_000}
    own = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **small})
    try:
        own.workers = [added_node(own) for _ in range(2)]
        own.wait_for_nodes()
        yield own
    finally:
        own.shutdown()


def added_node(cluster: Any) -> Any:
    """Add a node of one core; Ray gives a node 30 seconds to start, which a busy machine may take."""
    for _ in range(3):
        try:
            return cluster.add_node(num_cpus=1, object_store_memory=100_000_000)
        except Exception as error:  # Ray raises plain exceptions
            last = error
    raise last


def test_twelve_jobs_on_ray_survive_the_loss_of_a_node(
    real: Sweeper, cluster: Any, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    undisturbed = Sweeper(tmp_path_factory.mktemp("undisturbed"), real.program)
    where = ("engine=ray", f"engine.address={cluster.address}", "sweep.compare=false")
    code, document, err = undisturbed.run(*GRID, "tracking=off", *where)
    assert (code, document["finished"]) == (0, 12), err
    server = Server(tmp_path)
    server.start()
    try:
        process = real.start(*GRID, f"tracking.uri={server.uri}", *where)
        wait_until(lambda: any(done(run) for run in real.runs().values()), 600)
        time.sleep(10)
        cluster.remove_node(cluster.workers.pop(), allow_graceful=False)
        time.sleep(20)
        cluster.workers.append(added_node(cluster))
        out, err = process.communicate(timeout=1800)
        assert process.returncode == 0, out + err
        assert_same_runs(real, undisturbed)
        assert_family(server.uri, 12)
        assert real.run(*GRID, f"tracking.uri={server.uri}", *where)[1]["skipped"] == 12
        assert_family(server.uri, 12)
    finally:
        server.kill()


def test_a_sweep_on_ray_stops_cleanly(real: Sweeper, cluster: Any) -> None:
    long = (*TINY, "seed=0,1", "schedule.epochs=3000", "tracking=off")
    process = real.start(*long, "engine=ray", f"engine.address={cluster.address}")
    wait_until(lambda: len(list(real.folder.glob("runs/*/checkpoints/*.safetensors"))) > 4, 300)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert {state_of(run) for run in real.runs().values()} == {"KILLED"}
    wait_until(lambda: not real.workers(), 30)


@pytest.mark.skipif(not POSTGRES, reason="PostgreSQL is not installed (apt-get install postgresql)")
@pytest.mark.skipif(importlib.util.find_spec("psycopg") is None, reason="psycopg is not installed")
def test_eight_writers_before_postgresql_lose_nothing_while_the_server_is_away(light: Sweeper) -> None:
    database = Postgres()
    server = Server(light.folder, database.uri)
    try:
        server.start()
        quiet = ("engine.jobs=1", "sweep.compare=false", f"schedule.epochs={EPOCHS}", f"tracking.uri={server.uri}")
        seeds = [f"seed={2 * writer},{2 * writer + 1}" for writer in range(8)]
        writers = [light.start(seed, *quiet, LIGHT_PACE="0.3") for seed in seeds]
        wait_until(lambda: mirrored_runs(server.uri) >= 16, 300)  # eight sweeps, and the first job of each
        server.kill()
        time.sleep(20)
        server.start()
        for writer in writers:
            _, err = writer.communicate(timeout=900)
            assert writer.returncode == 0, err
        children = assert_family(server.uri, 16, sweeps=8)
        assert lost_or_doubled(server.uri, children, light.folder / "runs") == 0
    finally:
        server.kill()
        database.close()


def mirrored_runs(uri: str) -> int:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("infomcr")
    return 0 if experiment is None else len(client.search_runs([experiment.experiment_id], max_results=1000))


def lost_or_doubled(uri: str, children: list[Any], runs: Path) -> int:
    """Return how many metrics of the run directories MLflow does not hold exactly once."""
    from mlflow.tracking import MlflowClient

    client, wrong = MlflowClient(uri), 0
    for child in children:
        history = [item.step for item in client.get_metric_history(child.info.run_id, "train/loss")]
        steps = [line["step"] for line in lines_of(runs / child.info.run_name)]
        assert len(steps) == EPOCHS
        wrong += len(set(steps) ^ set(history)) + len(history) - len(set(history))
    return wrong
