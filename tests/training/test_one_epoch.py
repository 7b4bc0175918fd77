"""One epoch of every model, regularizer and augmentation on digits, from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infomcr_cli.config.search_path import group_choices
from tests.conftest import CommandLine
from tests.training.small_sources import WRITERS

SMALL = [
    "data=digits",
    "data.train_size=48",
    "data.test_size=40",
    "data.batch_size=16",
    "schedule.epochs=1",
    "measure.gamma.draw_size=20",
    "tracking=off",
    "deterministic=false",  # it holds for a whole process, and this one has begun
]
NARROW = {
    "application": ["model.name=MobileNetV3Small", "model.upsample=4"],
    "builder": ["model.builder=tests.training.user_network:perceptron"],
    "densenet": ["model.depth=10", "model.growth_rate=4"],
    "mlp": ["model.width=16"],
    "nin": ["model.base_width=1"],
    "resnet": ["model.depth=8", "model.width=0.25"],
    "vgg": ["model.depth=11", "model.width=0.0625"],
    "wrn": ["model.depth=10", "model.width=0.25"],
}
MLP = ["model=mlp", "model.width=16", "model.norm=batch"]


def train(command_line: CommandLine, *overrides: str) -> dict[str, float]:
    """Train an epoch and return its line of metrics."""
    answer = command_line("train", *SMALL, *overrides, "--run-dir", "run", "--json")
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["state"] == "FINISHED"
    with open("run/metrics.jsonl") as file:
        values: dict[str, float] = json.loads(file.readlines()[-1])
    assert values["step"] == 3
    assert 0 < values["train/loss"] < 100
    return values


def test_every_choice_of_configuration_is_tested() -> None:
    assert set(NARROW) == set(group_choices(None)["model"])


@pytest.mark.parametrize("model", NARROW)
def test_every_model_trains_one_epoch(command_line: Any, model: Any) -> None:
    train(command_line, f"model={model}", *NARROW[model])


def test_every_data_source_is_tested() -> None:
    assert set(WRITERS) == set(group_choices(None)["data"])


@pytest.mark.parametrize("source", WRITERS)
def test_every_data_source_trains_one_epoch(command_line: Any, tmp_path: Path, source: Any) -> None:
    own = WRITERS[source](tmp_path)
    place = [f"data={source}", f"data.cache={tmp_path / 'cache'}", "data.train_size=48", "data.test_size=null"]
    train(command_line, *MLP, *(place if own else []), *own)
    measured = command_line("eval", "run", "measure.names=[train_loss]", "measure.samples=20", "--json")
    assert measured.code == 0, measured.err


@pytest.mark.parametrize("reg", group_choices(None)["reg"])
def test_every_regularizer_trains_one_epoch(command_line: Any, reg: Any) -> None:
    active = () if reg == "off" else ("reg.phases=111",)
    values = train(command_line, *MLP, f"reg={reg}", *active)
    assert (values["train/penalty"] > 0) == (reg != "off")


@pytest.mark.parametrize("optimizer", group_choices(None)["optimizer"])
def test_every_optimizer_trains_one_epoch(command_line: Any, optimizer: Any) -> None:
    train(command_line, *MLP, f"optimizer={optimizer}", "optimizer.use_ema=true")


@pytest.mark.parametrize("augment", group_choices(None)["augment"])
def test_every_augmentation_trains_one_epoch(command_line: Any, augment: Any) -> None:
    scaled = ("augment.cutout=3",) if augment == "cutout" else ()
    train(command_line, *MLP, f"augment={augment}", *scaled)
