"""Evaluate a run's network at any weights on the same training images.

| symbol | meaning | shape |
| --- | --- | --- |
| w | the trainable weights, flat, in the order of `trainable_weights` | [W] |
| statistics | all other named arrays of a checkpoint, such as moving means and variances of batch norm | by name |
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np
import psutil
from numpy.typing import NDArray

from infomcr_cli import runtime
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.data import Split, evaluation_batches, load_dataset
from infomcr_cli.data.streamed import StreamedImages
from infomcr_cli.errors import InputError
from infomcr_cli.landscapes.batch_statistics import BatchStatistics
from infomcr_cli.measures.draws import image_order
from infomcr_cli.measures.evaluate import MeasuredNetwork, measured_network
from infomcr_cli.measures.loss_surface import LossSurface
from infomcr_cli.measures.stateless import complete, trainable_weights
from infomcr_cli.models import named_weights
from infomcr_cli.models.names import assign_all
from infomcr_cli.models.score import Score
from infomcr_cli.runs import RunDirectory
from infomcr_cli.runs.checkpoint import Checkpoint, check_data

Array = NDArray[np.float64]
Arrays = Mapping[str, Any]  # weights and moving statistics by name


@dataclass(frozen=True)
class LandscapeNetwork:
    """A network that is evaluated at different weights, in inference mode, without augmentation.

    Runs of the same architecture may share the Keras model behind it: whoever uses the model itself assigns weights
    first, by `place`.

    Args:
        run:     whose network it is.
        network: the Keras model, its data and its compiled score.
        samples: the training images that losses are taken of; in memory, unless all of them would not fit there.
        weights: of the checkpoint, with its moving statistics, by name.
    """

    run: RunDirectory
    network: MeasuredNetwork
    samples: Split
    weights: Arrays

    @property
    def model(self) -> keras.Model:
        """The Keras model."""
        return self.network.model

    @cached_property
    def trainable(self) -> tuple[str, ...]:
        """Names of the trainable weights in the order of the model."""
        names = {id(variable): name for name, variable in named_weights(self.model).items()}
        return tuple(names[id(variable)] for variable in trainable_weights(self.model))

    @cached_property
    def minimum(self) -> Array:
        """Trainable weights of the checkpoint, [W], float64."""
        return self.flat(self.weights)

    def flat(self, arrays: Arrays) -> Array:
        """Return the trainable weights among named arrays as one vector, [W], float64."""
        return np.concatenate([np.zeros(0), *(np.asarray(arrays[name], np.float64).ravel() for name in self.trainable)])

    def arrays(self, vector: Array, statistics: Arrays | None = None) -> dict[str, Any]:
        """Return named arrays with w = `vector` [W], and with the statistics given or those of the checkpoint."""
        rest = self.weights if statistics is None else statistics
        shapes = [np.shape(self.weights[name]) for name in self.trainable]
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes], dtype=int)
        pieces = np.split(vector, ends)[:-1]
        parts = {name: p.reshape(s) for name, p, s in zip(self.trainable, pieces, shapes, strict=True)}
        return {name: parts[name] if name in parts else rest[name] for name in self.weights}

    def place(self, arrays: Arrays) -> None:
        """Assign weights and statistics to the Keras model."""
        assign_all(named_weights(self.model), arrays)

    @cached_property
    def batch_statistics(self) -> BatchStatistics:
        """What renews the moving statistics of batch norm."""
        return BatchStatistics(self.model)

    def score(self, arrays: Arrays, *, renew: bool = False) -> Score:
        """Return mean cross-entropy, nats, and accuracy at named weights and statistics.

        Args:
            renew: compute the statistics of batch norm anew, of the samples, in place of those given.
        """
        self.place(arrays)
        if renew:
            self.batch_statistics.renew(images for images, _ in self.batches())
        return self.network.score(self.batches())

    def batches(self) -> Iterator[tuple[Any, NDArray[np.int32]]]:
        """Yield the samples, standardised, with their labels, in the batches in which `eval` scores."""
        return evaluation_batches(self.samples, self.network.dataset, self.network.config.measure.batch_size)

    def surface(self) -> LossSurface:
        """Return the loss with its gradient and Hessian-vector products at the checkpoint, which is placed first."""
        self.place(self.weights)
        images = self.network.dataset.standardise(self.samples.pixels)
        return LossSurface(self.model, images, self.samples.labels, batch_size=self.network.config.measure.batch_size)


def open_network(
    run: RunDirectory, config: RunConfig, checkpoint: Checkpoint, samples: int | None = None
) -> LandscapeNetwork:
    """Return the network of a run at a checkpoint with the first training images, as the measures take them.

    It computes in float32 whatever precision it was trained in, as `eval` does.

    Args:
        config:  of the run, with settings that a later command may change.
        samples: how many training images; None: all.

    Raises:
        InputError: the checkpoint belongs to other data, or to another network.
    """
    runtime.prepare_to_measure(config)
    dataset = load_dataset(config.data, seed=config.seed)
    check_data(checkpoint, dataset.fingerprint)
    measured = measured_network(run, config, dataset)
    assign_all(named_weights(measured.model), checkpoint.weights)
    train = measured.dataset.train
    chosen = image_order(train.labels, measured.dataset.stored_order)[:samples]
    network = LandscapeNetwork(run, measured, in_memory(train.take(chosen)), checkpoint.weights)
    few = network.network.dataset.standardise(network.samples.images[:2])
    complete(network.model, few)
    if not network.trainable:
        raise InputError("a landscape needs trainable weights", received=network.model.name)
    return network


def in_memory(split: Split) -> Split:
    """Return a split whose images are decoded once; those that memory has no room for stay in their files."""
    images = split.images
    if not isinstance(images, StreamedImages):
        return split
    room = psutil.virtual_memory().available // 4  # twice as much is taken while they are put together
    return split if math.prod(images.shape) > room else Split(split.pixels, split.labels)
