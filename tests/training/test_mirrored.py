"""Two logical CPU devices take the steps of one; in a process of their own: TensorFlow counts its devices once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infomcr_cli.config.devices import divided
from infomcr_cli.config.search_path import group_choices
from infomcr_cli.errors import InputError

CHILD = Path(__file__).with_name("mirrored_child.py")
# Where a rectifier is at its kink, rounding decides on which side w' lies, and the surrogate jumps: docs/method.md.
SMOOTH = "model.activation=gelu"
REG = ["reg=on", "reg.num_sub_batches=4", "reg.phases=111", SMOOTH]
RUNS: dict[str, list[str]] = {
    "plain": [],
    "regularized": REG,
    "regularized, sharing a pass": [*REG, "reg.share_pass=true"],
    "gradient norm": ["reg=gradient_norm", "reg.num_sub_batches=2", "reg.phases=111", SMOOTH],
    "fisher trace": ["reg=fisher_trace", "reg.num_sub_batches=2", "reg.phases=111", SMOOTH],
    "clipped, decayed and averaged": [
        "optimizer.global_clipnorm=0.3",
        "optimizer.weight_decay=0.01",
        "optimizer.use_ema=true",
        "optimizer.ema_momentum=0.8",
        "optimizer.ema_overwrite_frequency=5",
        "optimizer.label_smoothing=0.1",
        *REG,
    ],
    "regularized, odd parts": [*REG, "data.batch_size=30", "reg.num_sub_batches=6"],
}


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    command = [sys.executable, str(CHILD), json.dumps(list(RUNS.values()))]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path_factory.mktemp("mirrored"), env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def found(printed: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return dict(zip(RUNS, printed["runs"], strict=True))


@pytest.mark.parametrize("name", RUNS)
def test_twelve_steps_on_two_devices_equal_those_on_one(found: dict[str, dict[str, Any]], name: str) -> None:
    run = found[name]
    assert run["replicas"] == 2
    assert run["moved"] > 0.05
    assert run["rate"] == 0
    assert max(run["weights"], run["state"], run["means"], run["test_loss"]) < 1e-5


@pytest.mark.parametrize("name", RUNS)
def test_mirrored_checkpoint_resumes_on_one_device(found: dict[str, dict[str, Any]], name: str) -> None:
    assert found[name]["carried"] < 1e-5


def test_losses_added_by_layers_on_two_devices_equal_those_on_one(printed: dict[str, Any]) -> None:
    """Replicas take turns in the middle of a call; each must keep to what its own layers added."""
    assert len(printed["own_losses"]) == 4
    for run in printed["own_losses"]:
        assert run["own"] > 1
        assert max(run["weights"], run["means"]) < 1e-5


def test_sparse_gradient_of_an_embedding_is_shared_by_two_devices(printed: dict[str, Any]) -> None:
    assert printed["embedded"] < 1e-5


def test_every_optimizer_takes_the_same_steps_on_two_devices(printed: dict[str, Any]) -> None:
    for name, distances in printed["optimizers"].items():
        assert max(distances) < 1e-5, name
    assert set(printed["optimizers"]) == set(group_choices(None)["optimizer"])


def test_penalty_is_the_mean_over_all_sub_batches(found: dict[str, dict[str, Any]]) -> None:
    assert found["plain"]["penalty"] == 0
    assert found["regularized"]["penalty"] > 1e-6


def test_batch_that_devices_cannot_share_equally_is_refused() -> None:
    assert divided("reg.num_sub_batches", 8, 2) == 4
    with pytest.raises(InputError, match=r"reg.num_sub_batches=7, 2 devices.*Try reg.num_sub_batches=6"):
        divided("reg.num_sub_batches", 7, 2)
    with pytest.raises(InputError, match=r"Try reg.num_sub_batches=2"):
        divided("reg.num_sub_batches", 7, 2, whole=70)  # 6 would not divide the batch
    with pytest.raises(InputError, match=r"Try data\.batch_size=4"):
        divided("data.batch_size", 1, 4)
