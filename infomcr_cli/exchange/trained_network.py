"""Read a file as a network with its trained weights, and its initial weights if they are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.console.text import printable
from infomcr_cli.data import Dataset
from infomcr_cli.errors import InputError
from infomcr_cli.exchange.fitting import fitted
from infomcr_cli.exchange.keras_file import KerasModel, read_keras_file
from infomcr_cli.exchange.sources import WeightSource
from infomcr_cli.exchange.weights_file import load_weights_file, weights_by_name
from infomcr_cli.experiment.network import build_network
from infomcr_cli.models.keras_internals import full_precision
from infomcr_cli.models.user_code import user_code
from infomcr_cli.runs.io.tensors import Array


@dataclass(frozen=True)
class TrainedNetwork:
    """A network from a file.

    Args:
        model:        gives logits, with the trained weights.
        architecture: its layers as JSON; None: it is built from the settings of the run.
        softmax_of:   the layer whose softmax was left out; None: there was none.
        initial:      the weights before training, by name; None: not known.
    """

    model: keras.Model
    architecture: bytes | None = None
    softmax_of: str | None = None
    initial: Mapping[str, Array] | None = None

    @property
    def size(self) -> int:
        """Number of trainable weights."""
        return sum(int(np.prod(variable.shape)) for variable in self.model.trainable_variables)


def trained_network(source: WeightSource, config: RunConfig, dataset: Dataset) -> TrainedNetwork:
    """Return the network of a file.

    Args:
        config:  the settings from which the network of a weights file is built.
        dataset: the data that the network takes.

    Raises:
        InputError: the file cannot be used, or its weights are of another network.
    """
    if source.is_keras:
        return _of_keras_file(source, dataset)
    model = build_network(config, dataset)
    initial = None
    if source.initial is not None:
        load_weights_file(model, source.initial)
        initial = weights_by_name(model)
    load_weights_file(model, source.file)
    return TrainedNetwork(model, initial=initial)


def _of_keras_file(source: WeightSource, dataset: Dataset) -> TrainedNetwork:
    read = read_keras_file(source.file)
    samples = _samples(fitted(dataset, read.model).input_shape)
    with user_code(f"{printable(source.file.name)} must hold a network that takes the data"):
        _check_same(read, samples)
    return TrainedNetwork(read.model, read.architecture, read.softmax_of, _initial(source, read))


def _initial(source: WeightSource, read: KerasModel) -> Mapping[str, Array] | None:
    if source.initial is None:
        return None
    if source.initial.name.endswith(".keras"):
        before = read_keras_file(source.initial)
    else:
        before = read_keras_file(source.file, source.initial)
    initial, trained = weights_by_name(before.model), weights_by_name(read.model)
    if {name: array.shape for name, array in initial.items()} != {name: array.shape for name, array in trained.items()}:
        raise InputError("--initial must contain weights of the same network", received=str(source.initial))
    return initial


def _check_same(read: KerasModel, samples: Any) -> None:
    """Raise InputError if the rebuilt network differs from that of the file."""
    with full_precision(read.original):
        expected, found = read.original(samples, training=False), read.model(samples, training=False)
    expected = np.asarray(expected[0] if isinstance(expected, list) else expected)  # [2, C]
    if read.softmax_of is not None:  # the file's network gives probabilities, or their logarithms, which are negative
        found = (keras.ops.log_softmax if (expected < 0).any() else keras.ops.softmax)(found)
    if not np.allclose(expected, np.asarray(found), rtol=1e-3, atol=1e-4, equal_nan=True):
        raise InputError("the network must be the same when it is rebuilt from its layers", received=read.model.name)


def _samples(shape: Any) -> Any:
    """Return two samples of a shape, or of each input's shape by name, of zeros and ones: valid pixels and tokens."""
    if isinstance(shape, Mapping):
        return {name: _samples(one) for name, one in shape.items()}
    return keras.ops.convert_to_tensor(np.random.default_rng(0).integers(0, 2, (2, *shape)), "float32")  # [2, ...]
