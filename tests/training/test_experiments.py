"""Every preset is a whole configuration, and its network takes a step on a batch of two."""

from __future__ import annotations

import re
from pathlib import Path

import keras
import numpy as np
import pytest

from infomcr_cli.config.compose import compose_run
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.config.search_path import group_choices, own_conf
from infomcr_cli.models import build_model
from infomcr_cli.training import train_step
from infomcr_cli.training.setup import make_regularizer

PRESETS = group_choices(None)["experiment"]
SHAPES = {"digits": ((8, 8, 1), 10), "cifar10": ((32, 32, 3), 10), "cifar100": ((32, 32, 3), 100)}
SHAPES["imagenet"] = ((224, 224, 3), 1000)
HEAVY = {"wrn_cifar100", "resnet50_imagenet"}


def composed(preset: str, *overrides: str) -> RunConfig:
    folder = ["data.root=a_folder"] if "imagenet" in preset else []
    return compose_run([f"experiment={preset}", *folder, *overrides])


@pytest.mark.parametrize("preset", PRESETS)
def test_experiment_states_its_command_time_and_result(preset: str) -> None:
    text = (Path(own_conf()) / "experiment" / f"{preset}.yaml").read_text()
    assert text.startswith("# @package _global_\n")
    comment = "\n".join(line for line in text.splitlines() if line.startswith("#"))
    assert f"experiment={preset}" in comment
    assert re.search(r"# Time(:| and result:) +\S", comment)
    assert re.search(r"# (Result|Time and result): +\S", comment)
    assert composed(preset).choices["experiment"] == preset


def test_study_compares_on_off_equal_compute_and_sam() -> None:
    lines = (Path(own_conf()) / "experiment" / "wrn_cifar10_paper.yaml").read_text().splitlines()
    commands = [line.removeprefix("#   infomcr train ").split() for line in lines if "infomcr train" in line]
    words = [[word for word in command if "=" in word] for command in commands]
    found = [compose_run([*overrides, "data.root=/data"]) for overrides in words]
    assert [(run.reg.name, run.schedule.epochs) for run in found] == [
        ("on", 200),
        ("off", 200),
        ("off", 480),
        ("sam", 200),
    ]


@pytest.mark.parametrize("preset", [pytest.param(p, marks=pytest.mark.slow if p in HEAVY else ()) for p in PRESETS])
def test_experiment_takes_a_step(preset: str) -> None:
    config = (
        composed(preset, "data.batch_size=2")
        if composed(preset).reg.name == "off"
        else composed(preset, "data.batch_size=2", "reg.num_sub_batches=1")
    )
    keras.utils.set_random_seed(0)
    shape, classes = SHAPES[config.data.name]
    settings = config.model.model_dump(exclude={"name"})
    model = build_model(config.model.name, input_shape=shape, num_classes=classes, l2=config.optimizer.l2, **settings)
    images, labels = np.random.default_rng(0).standard_normal((2, *shape)).astype(np.float32), np.array([0, 1])
    optimizer = keras.optimizers.SGD(config.optimizer.learning_rate, config.optimizer.momentum)
    before = [np.array(v) for v in model.trainable_variables]
    scalars = train_step(model, optimizer, images, labels, regularizer=make_regularizer(config.reg))
    assert np.isfinite(float(scalars["loss"]))
    assert any(np.any(b != v) for b, v in zip(before, model.trainable_variables, strict=True))
