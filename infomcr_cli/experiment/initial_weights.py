"""Rebuild the weights that a run started from, so that runs need not store them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.data import Dataset
from infomcr_cli.experiment.network import network
from infomcr_cli.models import named_weights


def initial_weights(config: RunConfig, dataset: Dataset) -> dict[str, Any] | None:
    """Return weights and moving statistics by name as they were before the first step, or None for a run with `start`.

    Training seeds every generator and then builds the network. This does the same, in the run's own precision; it
    changes the state of the process's random generators.
    """
    if config.start is not None:
        return None
    with _policy(config.precision):
        keras.utils.set_random_seed(config.seed)
        return {name: np.asarray(variable) for name, variable in named_weights(network(config, dataset)).items()}


@contextmanager
def _policy(precision: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
