"""SIGKILL at any moment: the resumed run is the unbroken one, bit for bit."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import kill_points
import pytest
from fork_server import Child, ForkServer, wait_until
from same_run import TINY, assert_same_run

pytestmark = pytest.mark.faults

EPOCHS = 10
QUICK = ["tracking=off", f"schedule.epochs={EPOCHS}", "schedule.keep_checkpoints=3"]
LONG = ["tracking=off", "schedule.epochs=200"]  # long enough for 30 kills on a fast machine
IN_QUICK = {
    "between two steps": 6,
    "inside an evaluation": 2,
    "a log line half written": 2,
    "a checkpoint half written": 2,
}


def unbroken(fork_server: ForkServer, folder: Path, settings: list[str]) -> Path:
    child = fork_server.run(["train", *TINY, *settings, "--run-dir", "unbroken"], cwd=folder)
    assert child.code == 0, child.stderr
    return folder / "unbroken"


def resume(fork_server: ForkServer, folder: Path, **how: object) -> Child:
    return fork_server.start(["train", "--resume", "broken"], cwd=folder, **how)  # type: ignore[arg-type]


def finish(fork_server: ForkServer, folder: Path) -> Path:
    child = resume(fork_server, folder)
    assert child.wait() == 0, child.stderr
    return folder / "broken"


def test_killed_at_named_moments(fork_server: ForkServer, tmp_path: Path, observed: Callable[..., None]) -> None:
    whole = unbroken(fork_server, tmp_path, QUICK)
    start = ["train", *TINY, *QUICK, "--run-dir", "broken"]
    assert fork_server.run(start, cwd=tmp_path, moment=("between two steps", 3)).code == -signal.SIGKILL
    for moment, count in IN_QUICK.items():
        assert resume(fork_server, tmp_path, moment=(moment, count)).wait() == -signal.SIGKILL, moment
    lost = assert_same_run(finish(fork_server, tmp_path), whole)
    observed("SIGKILL at named moments", kills_survived=1 + len(IN_QUICK), metrics_lost=lost)


@pytest.mark.slow
def test_killed_at_each_moment_there_is(fork_server: ForkServer, tmp_path: Path, observed: Callable[..., None]) -> None:
    settings = ["tracking=off", "schedule.epochs=40", "schedule.keep_checkpoints=3", "reg=on", "reg.phases=111"]
    whole = unbroken(fork_server, tmp_path, settings)
    kills, chance = 0, random.Random(7)
    assert fork_server.run(
        ["train", *TINY, *settings, "--run-dir", "broken"], cwd=tmp_path, moment=("after a log line", 2)
    ).code
    for moment in chance.sample(kill_points.MOMENTS, len(kill_points.MOMENTS)):
        assert resume(fork_server, tmp_path, moment=(moment, chance.randrange(2, 5))).wait() == -signal.SIGKILL, moment
        kills += 1
    lost = assert_same_run(finish(fork_server, tmp_path), whole)
    observed(
        f"SIGKILL at each of {len(kill_points.MOMENTS)} moments, reg=on", kills_survived=kills + 1, metrics_lost=lost
    )


@pytest.mark.slow
def test_killed_at_random_moments(fork_server: ForkServer, tmp_path: Path, observed: Callable[..., None]) -> None:
    whole = unbroken(fork_server, tmp_path, LONG)
    chance, kills = random.Random(int(os.environ.get("FAULT_SEED", "0"))), 0
    start = fork_server.start(["train", *TINY, *LONG, "--run-dir", "broken"], cwd=tmp_path)
    wait_until(lambda: any((tmp_path / "broken" / "checkpoints").glob("*.safetensors")))
    kills += killed(start, chance.uniform(0, 0.3))
    while kills < 30:
        before = size_of_metrics(tmp_path)
        child = resume(fork_server, tmp_path)
        wait_until(lambda before=before: size_of_metrics(tmp_path) != before or finished(tmp_path))
        kills += killed(child, chance.uniform(0, 0.25))
        if finished(tmp_path):
            break
    lost = assert_same_run(finish(fork_server, tmp_path), whole)
    assert kills >= 25, f"only {kills} kills before the run was over"
    observed("SIGKILL at random moments", kills_survived=kills, metrics_lost=lost)


@pytest.mark.slow
def test_killed_before_the_first_checkpoint(
    fork_server: ForkServer, tmp_path: Path, observed: Callable[..., None]
) -> None:
    whole = unbroken(fork_server, tmp_path, QUICK)
    chance, kills = random.Random(3), 0
    for attempt in range(5):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        child = fork_server.start(["train", *TINY, *QUICK, "--run-dir", "broken"], cwd=folder)
        time.sleep(chance.uniform(0, 1.5))
        kills += killed(child, 0)
        if (folder / "broken").exists():
            assert_same_run(finish(fork_server, folder), whole)
        else:
            assert not list(folder.glob("[!.]*"))
    observed("SIGKILL before the first checkpoint", kills_survived=kills, metrics_lost=0)


def killed(child: Child, after: float) -> int:
    """Kill it after some seconds; return 1 where it died of that."""
    time.sleep(after)
    child.kill(signal.SIGKILL)
    return int(child.wait() == -signal.SIGKILL)


def size_of_metrics(folder: Path) -> int:
    path = folder / "broken" / "metrics.jsonl"
    return path.stat().st_size if path.exists() else 0


def finished(folder: Path) -> bool:
    return json.loads((folder / "broken" / "status.json").read_text())["state"] == "FINISHED"
