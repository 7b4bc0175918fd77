"""Runs as training leaves them, without the training: random weights, a checkpoint, a status."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from cli import CommandLine

from infomcr_cli.config.compose import compose_run
from infomcr_cli.config.yaml_text import to_yaml
from infomcr_cli.data import Dataset, load_dataset
from infomcr_cli.experiment.network import build_network
from infomcr_cli.models import named_weights
from infomcr_cli.runs import Checkpoint, RunDirectory, State, finished, new_status, save_checkpoint

SIZES = ("data.train_size=128", "data.test_size=100")
SMALL = (*SIZES, "tracking=off")
NETWORKS: dict[str, Sequence[str]] = {
    "wrn": ("model=wrn", "model.depth=10", "model.width=0.5"),
    "resnet": ("model=resnet", "model.depth=8", "model.width=0.5", "model.norm=group"),
    "mlp": ("model=mlp", "model.depth=1", "model.width=8", "model.norm=layer"),
}


def answer(command_line: CommandLine, *arguments: str) -> Any:
    given = command_line(*arguments, "--json")
    assert given.code == 0, given.err
    return json.loads(given.out)


def run_of(path: Path | str, overrides: Sequence[str], tracking: str = "off") -> tuple[keras.Model, Dataset]:
    """A run as training leaves it, its weights random; the network that it holds, and its data."""
    config = compose_run([*overrides, *SIZES, f"tracking={tracking}"])
    dataset = load_dataset(config.data, seed=config.seed)
    keras.utils.set_random_seed(2)
    model = build_network(config, dataset)
    generator = np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(np.asarray(variable) + 0.1 * generator.random(variable.shape))
    status = finished(new_status("ab"), State.FINISHED)
    run = RunDirectory.create(path, config=to_yaml(config), overrides=[], status=status)
    weights = {name: np.asarray(variable) for name, variable in named_weights(model).items()}
    checkpoint = Checkpoint(2, 1, weights, extra={"data": dataset.fingerprint}, train_loss=1.0)
    save_checkpoint(run, "epoch-0001", checkpoint)
    return model, dataset
