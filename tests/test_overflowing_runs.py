"""A run whose weights left the finite numbers: each command says so, and what is finite is still shown."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cli import CommandLine

from infomcr_cli import measure
from infomcr_cli.models.densenet import build
from infomcr_cli.runs import RunDirectory, load_checkpoint
from infomcr_cli.runs.checkpoint import save_checkpoint

SMALL = ("model=mlp", "model.depth=1", "model.width=4", "data.train_size=40", "data.test_size=20")
TRAIN = (*SMALL, "data.batch_size=20", "schedule.epochs=1", "tracking=off", "deterministic=false", "--run-dir", "r")
FEW = ("measure.names=[gamma,train_loss,parameter_count]", "measure.gamma.samples=20", "measure.gamma.draw_size=10")


@pytest.fixture
def overflowing(command_line: CommandLine) -> RunDirectory:
    assert command_line("train", *TRAIN).code == 0
    run = RunDirectory.open("r")
    last = load_checkpoint(run)
    weights = {name: np.asarray(one) * np.float32(np.nan) for name, one in last.weights.items()}
    save_checkpoint(run, "epoch-0001", type(last)(last.step, 1, weights, {}, last.extra))
    return run


def test_a_loss_that_is_not_finite_is_null_and_what_is_finite_is_kept(
    command_line: CommandLine, overflowing: RunDirectory
) -> None:
    found = command_line("eval", "r", *FEW, "--json")
    assert found.code == 0, found.err
    (document,) = json.loads(found.out)["runs"]
    assert document["train"]["loss"] is document["test"]["loss"] is document["gap"]["loss"] is None
    assert document["measures"]["train_loss"]["value"] is None
    assert document["measures"]["parameter_count"]["value"] == 64 * 4 + 4 + 4 * 10 + 10
    assert "train loss not finite" in command_line("eval", "r", *FEW).out

    aligned = command_line("path", "r", "r", "--points", "3", "--steps", "0", "--samples", "5", "--align")
    assert aligned.code == 2
    assert "finite" in aligned.err
    assert command_line("export", "r", "r.keras").code == 0
    assert Path("r.keras").is_file()


def test_measure_gives_a_reason_for_a_loss_that_is_not_finite() -> None:
    model = build(
        input_shape=(4, 4, 1), num_classes=2, depth=10, growth_rate=1, compression=0.1
    )  # one channel, not none
    assert model.get_layer("transition1.conv").filters == 1
    images, labels = np.ones((4, 4, 4, 1), "float32"), np.array([0, 1, 0, 1])
    model.set_weights([np.nan * weight for weight in model.get_weights()])
    found = measure(model, (images, labels), (images, labels), names=["parameter_count"])
    assert found["test_loss"]["value"] is None
    assert found["test_loss"]["reason"] == "the value is nan"
    assert found["parameter_count"]["value"] == model.count_params() - sum(
        int(np.prod(weight.shape)) for weight in model.non_trainable_weights
    )
