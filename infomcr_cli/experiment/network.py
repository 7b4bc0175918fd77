"""The network of a run: built from its configuration and its data set, and the weights that it started from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from infomcr_cli.config.allowed_builders import is_trusted
from infomcr_cli.config.schema.model import BuilderConfig
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.data import Dataset
from infomcr_cli.models import build_model, named_weights


def network_settings(config: RunConfig, dataset: Dataset) -> dict[str, Any]:
    """Return the arguments of `build_model` for the network of a run; it is the same for runs with equal ones."""
    settings = config.model.model_dump()
    if isinstance(config.model, BuilderConfig):
        settings["trusted"] = is_trusted(config)
    return {
        **settings,
        "input_shape": dataset.input_shape if config.model.name == "builder" else dataset.image_shape,
        "num_classes": dataset.num_classes,
        "l2": config.optimizer.l2,
    }


def build_network(config: RunConfig, dataset: Dataset) -> keras.Model:
    """Return the untrained network of a run, for the images and classes of its data.

    Raises:
        InputError: the images do not fit the network, or the user did not name its builder.
    """
    return build_model(**network_settings(config, dataset))


def initial_weights(config: RunConfig, dataset: Dataset) -> dict[str, Any] | None:
    """Return weights and moving statistics by name as they were before the first step, or None for a run with `start`.

    Training seeds every generator and then builds the network. This does the same, in the run's own precision; it
    changes the state of the process's random generators.
    """
    if config.start is not None:
        return None
    with _policy(config.precision):
        keras.utils.set_random_seed(config.seed)
        model = build_network(config, dataset)
        return {name: np.asarray(variable) for name, variable in named_weights(model).items()}


@contextmanager
def _policy(precision: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
