"""Build the network of a run from its settings, or from model.json if it was imported."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import keras

from infomcr_cli.config.schema.imported import ImportedModelConfig
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.data import Dataset
from infomcr_cli.errors import InputError
from infomcr_cli.exchange.architecture import read_architecture
from infomcr_cli.exchange.archive import MAX_CONFIG
from infomcr_cli.exchange.keras_file import build
from infomcr_cli.experiment.network import build_network, initial_weights
from infomcr_cli.runs import RunDirectory, list_checkpoints, load_checkpoint

MODEL = "model.json"
INITIAL, TRAINED = "initial", "imported"  # the two checkpoints of an imported run


def network_of_run(run: RunDirectory, config: RunConfig, dataset: Dataset) -> keras.Model:
    """Build the network of a run, with fresh weights.

    Raises:
        InputError: model.json is missing, was changed, or names something that is not allowed.
    """
    if isinstance(config.model, ImportedModelConfig):
        return imported_network(run, config.model)
    return build_network(config, dataset)


def imported_network(run: RunDirectory, config: ImportedModelConfig) -> keras.Model:
    """Build the network of an imported run from the layers in its model.json.

    Raises:
        InputError: model.json is missing, was changed, or names something that is not allowed.
    """
    what = f"{MODEL} of {run.name}"
    try:
        content = run.read(MODEL, MAX_CONFIG)
    except FileNotFoundError:
        raise InputError(f"{what} must contain the layers of the network", received="no such file") from None
    if hashlib.sha256(content).hexdigest() != config.architecture:
        raise InputError(f"{what} must not change after the import", received="different content")
    # A weight takes at least a byte of a checkpoint: a description of more weights is not of this run.
    bytes_kept = max((file.stat().st_size for file in run.checkpoints.iterdir()), default=0)
    return build(read_architecture(content, what), what, most_weights=bytes_kept)


def weights_before_training(run: RunDirectory, config: RunConfig, dataset: Dataset) -> Mapping[str, Any] | None:
    """Return the initial weights of a run by name; None if they are unknown."""
    if config.imported is None:
        return initial_weights(config, dataset)
    known = INITIAL in (info.name for info in list_checkpoints(run))
    return load_checkpoint(run, INITIAL).weights if known else None
