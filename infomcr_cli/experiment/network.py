"""Build the network of a run from its configuration and its data set."""

from __future__ import annotations

from typing import Any

import keras

from infomcr_cli.config.allowed_builders import is_trusted
from infomcr_cli.config.schema.model import BuilderConfig
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.data import Dataset
from infomcr_cli.models import build_model


def network(config: RunConfig, dataset: Dataset) -> keras.Model:
    """Build the untrained network of a run, for the images and classes of its data set.

    Raises:
        InputError: the images do not fit the network, or the user did not name its builder.
    """
    return build_model(**network_settings(config, dataset))


def network_settings(config: RunConfig, dataset: Dataset) -> dict[str, Any]:
    """Return all that a network is built from; runs for which it is equal have the same network."""
    settings = config.model.model_dump()
    if isinstance(config.model, BuilderConfig):
        settings["trusted"] = is_trusted(config)
    return {
        **settings,
        "input_shape": dataset.input_shape if config.model.name == "builder" else dataset.image_shape,
        "num_classes": dataset.num_classes,
        "l2": config.optimizer.l2,
    }
