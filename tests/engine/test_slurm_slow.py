"""Sweeps on a real Slurm cluster of two nodes, whose jobs are preempted, killed, timed out and cancelled.

    apt-get install -y --no-install-recommends slurm-wlm munge
    python -m pytest -m slow tests/engine/test_slurm_slow.py

The tests start the cluster (slurm_cluster.py) as the user who runs them, and end it. To use one by hand:

    python tests/engine/slurm_cluster.py /tmp/cluster
    SLURM_CONF=/tmp/cluster/slurm.conf infomcr sweep data=digits model=mlp seed=0,1 engine=slurm tracking=off
"""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from servers import wait_until
from slurm_cluster import MOST_TASKS, NODES, SlurmCluster, missing_program, running_cluster
from sweeper import TINY, Sweeper, epochs_of, lines_of, state_of

from infomcr_cli.engine.slurm_engine import SECONDS_BETWEEN_POLLS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(missing_program() is not None, reason=f"Slurm is not installed: no {missing_program()}"),
]
ARRAY = ("engine=slurm", "engine.array_parallelism=2", "tracking=off", "sweep.compare=false", "sweep.name=x")
PASSWORD = "correct-horse-battery-9417"


@pytest.fixture(scope="module")
def slurm() -> Iterator[SlurmCluster]:
    """Two nodes of one core each."""
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture
def cluster(slurm: SlurmCluster) -> Iterator[SlurmCluster]:
    """The cluster without jobs; jobs that go back into its queue start at once."""
    done = threading.Event()

    def hurry() -> None:
        while not done.wait(1.0):
            slurm.start_at_once()

    thread = threading.Thread(target=hurry)
    thread.start()
    yield slurm
    done.set()
    thread.join()
    for row in slurm.queue():
        with suppress(AssertionError):  # it has ended meanwhile
            slurm.command("scancel", "--signal=KILL", "--full", row[0].removesuffix("_N/A"))
            slurm.command("scancel", row[0].removesuffix("_N/A"))
    wait_until(lambda: not slurm.queue(), 60)


class Watched:
    """Notes how many tasks run at once while the block runs."""

    def __init__(self, cluster: SlurmCluster) -> None:
        self._cluster, self._done = cluster, threading.Event()
        self.counts: list[int] = []
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Watched:
        self._thread.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.3):
            self.counts.append(len(self._cluster.running()))


def ended(process: subprocess.Popen[str], seconds: float = 600) -> tuple[int, Any, str]:
    out, err = process.communicate(timeout=seconds)
    return process.returncode, json.loads(out) if out.strip() else None, err


def arrays(sweeper: Sweeper) -> list[Path]:
    """Return the scripts that were submitted."""
    return sorted(sweeper.folder.glob("sweeps/x/slurm/*/[0-9]*_submission.sh"))


def runs_with_epochs(sweeper: Sweeper, epochs: int) -> list[Path]:
    """Return the unfinished runs with that many checkpoints."""
    return [run for run in sweeper.runs().values() if len(epochs_of(run)) >= epochs and state_of(run) != "FINISHED"]


def status_of(sweeper: Sweeper, cluster: SlurmCluster) -> Any:
    return sweeper.run("--status", "x", **cluster.environment)[1]


def assert_same_bits(ours: Sweeper, theirs: Sweeper) -> None:
    assert list(ours.runs()) == list(theirs.runs())
    for name, run in ours.runs().items():
        assert state_of(run) == "FINISHED"
        assert lines_of(run) == lines_of(theirs.runs()[name])
        assert epochs_of(run) == epochs_of(theirs.runs()[name])


@pytest.fixture
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Sweeper]:
    """Carry out the same sweep on this machine, and return where."""

    def run(like: Sweeper, *grid: str) -> Sweeper:
        sweeper = Sweeper(tmp_path_factory.mktemp("undisturbed"), like.program)
        code, _, err = sweeper.run(*grid, "engine.jobs=2", "tracking=off", "sweep.compare=false")
        assert code == 0, err
        return sweeper

    return run


def test_preempted_killed_and_requeued_jobs_end_with_the_same_bits(
    light: Sweeper, cluster: SlurmCluster, undisturbed: Callable[..., Sweeper]
) -> None:
    jobs = MOST_TASKS + 2
    grid = ("reg=off", f"seed=range({jobs})", "schedule.epochs=8")
    slow = {"LIGHT_PACE": "0.25", "MLFLOW_TRACKING_PASSWORD": PASSWORD}
    with Watched(cluster) as watched:
        process = light.start(*grid, *ARRAY, "--json", **cluster.environment, **slow)
        wait_until(lambda: len(runs_with_epochs(light, 2)) >= 2, 120)
        # Both nodes are taken away for a moment: the running jobs are preempted.
        cluster.command("sbatch", "--partition=urgent", "--nodes=2", "--output=/dev/null", "--wrap=sleep 6")
        wait_until(lambda: any(row[3] == "wrap" and row[1] == "RUNNING" for row in cluster.queue()), 60)
        wait_until(lambda: len(cluster.running()) == 2, 60)
        wait_until(lambda: len(cluster.tasks()) == 2, 60)
        assert all(task.environ()["MLFLOW_TRACKING_PASSWORD"] == PASSWORD for task in cluster.tasks())
        cluster.tasks()[0].kill()
        cluster.command("scontrol", "requeue", cluster.running()[-1])
        code, document, err = ended(process)
    assert code == 0, err
    assert (document["finished"], len(document["jobs"])) == (jobs, jobs)
    assert max(watched.counts) == 2
    assert len(arrays(light)) == 2  # MaxArraySize
    assert all("%2" in path.read_text() for path in arrays(light))
    assert_same_bits(light, undisturbed(light, *grid))
    assert not [path for path in light.folder.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]


def test_jobs_work_through_the_time_of_grace_of_a_preemption_and_go_on(light: Sweeper, cluster: SlurmCluster) -> None:
    grid = ("reg=off", "seed=0,1", "schedule.epochs=30", "engine.partition=graceful", "engine.retries=0")
    process = light.start(*grid, *ARRAY, "--json", LIGHT_PACE="0.25", **cluster.environment)
    wait_until(lambda: len(runs_with_epochs(light, 2)) == 2, 120)
    cluster.command("sbatch", "--partition=urgent", "--nodes=2", "--output=/dev/null", "--wrap=sleep 3")
    code, document, err = ended(process)
    assert (code, document["finished"]) == (0, 2), err
    counts = [json.loads(path.read_text())["count"] for path in light.folder.glob("sweeps/x/slurm/*/starts/*.json")]
    assert counts == [2, 2]


def test_a_job_goes_back_into_the_queue_before_its_limit_of_time(
    light: Sweeper, cluster: SlurmCluster, undisturbed: Callable[..., Sweeper]
) -> None:
    grid = ("reg=off", "seed=0", "schedule.epochs=40")
    limit = ("engine.time=1", "engine.checkpoint_before=30")
    code, document, err = light.run(*grid, *ARRAY, *limit, LIGHT_PACE="0.5", **cluster.environment)
    assert (code, document["finished"]) == (0, 1), err
    (starts,) = light.folder.glob("sweeps/x/slurm/*/starts/0.json")
    record = json.loads(starts.read_text())
    assert record["count"] > 1
    assert record["fruitless"] == 0
    assert_same_bits(light, undisturbed(light, *grid))


def test_a_job_whose_limit_never_suffices_fails(light: Sweeper, cluster: SlurmCluster) -> None:
    grid = ("reg=off", "seed=0", "optimizer.momentum=0.66")  # which hangs, and hears no signal
    limit = ("engine.time=1", "engine.checkpoint_before=30", "engine.retries=1")
    code, document, err = light.run(*grid, *ARRAY, *limit, **cluster.environment)
    assert (code, document["failed"]) == (1, 1), err
    assert "engine.time" in document["jobs"][0]["reason"]


def test_after_ctrl_c_and_a_kill_the_same_command_attaches_again(light: Sweeper, cluster: SlurmCluster) -> None:
    command = ("reg=off", "seed=0,1,2,3", "schedule.epochs=30", *ARRAY)
    environment = {**cluster.environment, "LIGHT_PACE": "0.3"}
    process = light.start(*command, "--json", **environment)
    wait_until(lambda: len(runs_with_epochs(light, 1)) == 2, 120)
    second = light.run(*command, **environment)
    assert second[0] == 2  # one process at a time carries out a sweep
    process.send_signal(signal.SIGINT)
    code, document, err = ended(process, 60)
    assert (code, document["running"], document["not_begun"]) == (130, 2, 2), err
    assert "--cancel sweeps/x" in err
    assert len(cluster.running()) == 2
    status = status_of(light, cluster)
    assert (status["active"], status["running"], status["slurm"]["RUNNING"]) == (True, 2, 2)
    where = {job["slurm_node"]: job["slurm_job"] for job in status["jobs"] if job["state"] == "RUNNING"}
    assert set(where) == set(NODES)
    assert set(where.values()) == set(cluster.running())
    process = light.start(*command, **environment)
    wait_until(lambda: status_of(light, cluster)["process"] == str(process.pid), 60)
    process.kill()
    process.communicate()
    code, document, err = light.run(*command, **environment)
    assert code == 0, err
    assert document["finished"] + document["skipped"] == 4
    assert len(arrays(light)) == 1


def test_a_cancelled_task_is_killed_and_done_by_the_next_sweep(light: Sweeper, cluster: SlurmCluster) -> None:
    command = ("reg=off", "seed=0,1", "schedule.epochs=12", *ARRAY)
    environment = {**cluster.environment, "LIGHT_PACE": "0.2"}
    process = light.start(*command, "--json", **environment)
    wait_until(lambda: len(runs_with_epochs(light, 1)) == 2, 120)
    cluster.command("scancel", cluster.running()[0])
    code, document, err = ended(process)
    assert (code, document["finished"], document["killed"]) == (1, 1, 1), err
    assert "cancelled" in str([job["reason"] for job in document["jobs"]])
    code, document, err = light.run(*command, **environment)
    assert (code, document["finished"], document["skipped"]) == (0, 1, 1), err


def test_the_sweep_tells_why_slurm_will_never_start_its_jobs(light: Sweeper, cluster: SlurmCluster) -> None:
    command = ("reg=off", "seed=0,1", *ARRAY, "engine.partition=short", "engine.time=60")
    process = light.start(*command, "--json", **cluster.environment)
    wait_until(lambda: bool(arrays(light)), 60)
    wait_until(lambda: {job["slurm_reason"] for job in status_of(light, cluster)["jobs"]} == {"PartitionTimeLimit"}, 60)
    time.sleep(SECONDS_BETWEEN_POLLS + 2)  # the sweep asks less often
    assert light.run("--cancel", "x", **cluster.environment)[0] == 0
    code, document, err = ended(process, 90)
    assert (code, document["not_begun"]) == (1, 2), err
    assert "will not start 2 of the jobs until this changes: PartitionTimeLimit" in " ".join(err.split())


@pytest.mark.parametrize("is_attached", [True, False])
def test_cancel_ends_the_jobs_and_their_sweep(light: Sweeper, cluster: SlurmCluster, is_attached: bool) -> None:
    command = ("reg=off", "seed=0,1,2,3", "schedule.epochs=100", *ARRAY)
    environment = {**cluster.environment, "LIGHT_PACE": "0.2"}
    process = light.start(*command, "--json", **environment)
    wait_until(lambda: len(runs_with_epochs(light, 1)) == 2, 120)
    if not is_attached:
        process.kill()
        process.communicate()
    code, document, err = light.run("--cancel", "x", **environment)
    assert (code, document["running"], document["waiting"]) == (0, 2, 2), err
    if is_attached:
        code, document, err = ended(process, 90)
        assert (code, document["killed"], document["not_begun"]) == (1, 2, 2), err
    wait_until(lambda: not cluster.queue(), 60)
    assert {state_of(run) for run in light.runs().values()} == {"KILLED"}
    assert status_of(light, cluster)["active"] is False


def test_jobs_of_a_lost_node_go_on_at_another(
    light: Sweeper, cluster: SlurmCluster, undisturbed: Callable[..., Sweeper]
) -> None:
    grid = ("reg=off", "seed=0,1,2", "schedule.epochs=10")
    process = light.start(*grid, *ARRAY, "--json", LIGHT_PACE="0.3", **cluster.environment)
    try:
        wait_until(lambda: len(runs_with_epochs(light, 1)) == 2, 120)
        cluster.lose_node("n2")
        code, document, err = ended(process)
        assert (code, document["finished"]) == (0, 3), err
        assert_same_bits(light, undisturbed(light, *grid))
    finally:
        cluster.start_node("n2")
        wait_until(lambda: cluster.node_states().count("idle") == len(NODES), 90)


def test_a_real_training_that_is_requeued_gives_the_same_bits(
    real: Sweeper, cluster: SlurmCluster, undisturbed: Callable[..., Sweeper]
) -> None:
    grid = (*TINY, "reg=on,off", "schedule.epochs=6")
    process = real.start(*grid, *ARRAY, "--json", **cluster.environment)
    wait_until(lambda: runs_with_epochs(real, 2), 300)
    cluster.command("scontrol", "requeue", cluster.running()[0])
    code, document, err = ended(process, 900)
    assert (code, document["finished"]) == (0, 2), err
    assert_same_bits(real, undisturbed(real, *grid))
