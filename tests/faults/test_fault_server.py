"""A tracking server that is down, dies and comes back: training does not notice, MLflow ends up whole."""

from __future__ import annotations

import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from fork_server import ForkServer, wait_until
from same_run import TINY

from infomcr_cli.tracking.client import connect
from infomcr_cli.tracking.store import store_of

pytestmark = pytest.mark.faults

# Makes the tiny run last as long as a server needs to start, without a word to the network.
PACED = """
import time
from infomcr_cli.training.callbacks import RunCallback
plain = RunCallback.on_epoch
def on_epoch(self, *args):
    plain(self, *args)
    while __import__('os').path.exists('wait'):
        time.sleep(0.05)
RunCallback.on_epoch = on_epoch
"""


class Server:
    """A real `mlflow server` on a port of its own."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.uri = f"http://127.0.0.1:{probe.getsockname()[1]}"
        self._folder, self._process = folder, None

    def start(self) -> None:
        port = self.uri.rpartition(":")[2]
        database, artifacts = f"sqlite:///{self._folder}/server.db", self._folder / "served"
        options = ["--backend-store-uri", database, "--artifacts-destination", str(artifacts), "--workers", "1"]
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", port, *options]
        settings = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        self._process = psutil.Popen(
            command, env={**os.environ, **settings}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(self.answers, 120)

    def answers(self) -> bool:
        try:
            return bool(urllib.request.urlopen(f"{self.uri}/health", timeout=5).status == 200)
        except OSError:
            return False

    def send(self, number: int) -> None:
        if self._process is not None and self._process.is_running():
            for process in [*self._process.children(recursive=True), self._process]:
                process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None and self._process.is_running():
            self.send(signal.SIGKILL)
            self._process.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    own = Server(tmp_path)
    yield own
    own.kill()


def lines(run: Path) -> list[dict[str, Any]]:
    path = run / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def mirrored(server: Server, run: Path) -> list[tuple[int, float]]:
    """Return (step, loss) as the server holds them, nothing where it holds no run."""
    client = connect(store_of(server.uri, "infomcr", run.parent))
    run_id = json.loads((run / "status.json").read_text())["mlflow_run_id"]
    history = client.get_metric_history(run_id, "train/loss") if run_id else []
    return [(item.step, item.value) for item in history]


def held(run: Path) -> list[tuple[int, float]]:
    return [(line["step"], line["train/loss"]) for line in lines(run)]


@pytest.mark.slow
def test_down_at_the_start_dying_in_the_middle_and_coming_back(
    fork_server: ForkServer, tmp_path: Path, server: Server, observed: Callable[..., None]
) -> None:
    run, gate = tmp_path / "runs" / "a", tmp_path / "wait"
    settings = ["schedule.epochs=12", f"tracking.uri={server.uri}"]
    child = fork_server.start(["train", *TINY, *settings, "--run-dir", str(run)], cwd=tmp_path, sabotage=PACED)
    wait_until(lambda: len(lines(run)) >= 2)
    gate.touch()
    server.start()
    wait_until(lambda: json.loads((run / "status.json").read_text())["mlflow_run_id"], 90)
    wait_until(lambda: mirrored(server, run) == held(run), 60)
    server.kill()
    so_far = len(lines(run))
    gate.unlink()
    wait_until(lambda: len(lines(run)) >= so_far + 3)
    gate.touch()
    time.sleep(0.5)
    seen = len(lines(run))
    server.start()
    gate.unlink()
    assert child.wait() == 0, child.stderr
    assert seen < 12
    if mirrored(server, run) != held(run):  # the run ended before its next attempt: what sync is for
        assert fork_server.run(["sync", str(run)], cwd=tmp_path).code == 0
    assert mirrored(server, run) == held(run)
    observed(
        "server down, dying, coming back",
        epochs=len(held(run)),
        metrics_lost=len(held(run)) - len(mirrored(server, run)),
    )


@pytest.mark.slow
def test_a_server_that_hangs_slows_nothing(
    fork_server: ForkServer, tmp_path: Path, server: Server, observed: Callable[..., None]
) -> None:
    server.start()
    server.send(signal.SIGSTOP)
    # Other work on the machine comes and goes: the better of two, taken in turn.
    epochs: dict[str, list[float]] = {"off": [], "hanging": []}
    whole: dict[str, list[float]] = {"off": [], "hanging": []}
    for turn in (1, 2):
        for name, tracking in (("off", "tracking=off"), ("hanging", f"tracking.uri={server.uri}")):
            run = tmp_path / "runs" / f"{name}{turn}"
            began = time.monotonic()
            child = fork_server.run(
                ["train", *TINY, "schedule.epochs=100", tracking, "--run-dir", str(run)], cwd=tmp_path
            )
            whole[name].append(time.monotonic() - began)
            assert child.code == 0, child.stderr
            epochs[name].append(statistics.median(line["timing"]["train_seconds"] for line in lines(run)[5:]))
    assert "infomcr sync" in child.stderr
    server.send(signal.SIGCONT)
    hanging = tmp_path / "runs" / "hanging2"
    assert fork_server.run(["sync", str(hanging)], cwd=tmp_path).code == 0
    lost = len(held(hanging)) - len(mirrored(server, hanging))
    assert mirrored(server, hanging) == held(hanging)
    ratio = min(epochs["hanging"]) / min(epochs["off"])
    assert ratio < 1.3
    later = min(whole["hanging"]) - min(whole["off"])
    observed("server hangs", epoch_time=f"{ratio:.2f} of untracked", whole_run=f"{later:+.1f} s", metrics_lost=lost)


@pytest.mark.slow
def test_sync_rebuilds_a_run_in_any_store_and_repeats(
    fork_server: ForkServer, tmp_path: Path, observed: Callable[..., None]
) -> None:
    run = tmp_path / "runs" / "a"
    assert (
        fork_server.run(["train", *TINY, "schedule.epochs=4", "tracking=off", "--run-dir", str(run)], cwd=tmp_path).code
        == 0
    )
    uri = f"sqlite:///{tmp_path}/other/store.db"
    for _ in range(2):
        child = fork_server.run(["sync", str(run), "--tracking-uri", uri, "--json"], cwd=tmp_path)
        assert child.code == 0, child.stderr
    run_id = json.loads(child.stdout)["runs"][0]["mlflow_run_id"]
    client = connect(store_of(uri, "infomcr", run.parent))
    history = client.get_metric_history(run_id, "train/loss")
    assert [(item.step, item.value) for item in history] == held(run)
    assert client.get_run(run_id).info.status == "FINISHED"
    assert len(client.search_runs([client.get_experiment_by_name("infomcr").experiment_id])) == 1
    observed("sync, twice, in another store", metrics_lost=len(held(run)) - len(history), runs_there=1)
