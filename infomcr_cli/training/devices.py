"""Share one batch among several devices, by `tf.distribute`.

Every replica has all weights and takes its contiguous part of the global batch, R parts for R replicas. Batch norm
takes the statistics of the global batch in the main pass and gradients are averaged, so that a step equals the step of
one device except for rounding, and for dropout: all replicas drop the same units of their parts. Stateless passes
(`gradients.stateless_pass`) use the statistics of the images that they are given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from infomcr_cli.models.keras_internals import all_layers, clip, is_clipping

Scalars = dict[str, tf.Tensor]


def replica_count() -> int:
    """Return R, the replicas of the strategy in whose scope this is called."""
    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def synchronize_batch_norm(model: keras.Model) -> None:
    """Let batch norm take the statistics of the global batch if there are several replicas."""
    for layer in _batch_norms(model):
        layer.synchronized = replica_count() > 1


@contextmanager
def replica_statistics(model: keras.Model) -> Iterator[None]:
    """Inside the block, let batch norm take the statistics of the images of one replica.

    Replicas are traced in turn, each up to its next collective operation; the block must not contain one.
    """
    synchronised = [layer for layer in _batch_norms(model) if layer.synchronized]
    try:
        for layer in synchronised:
            layer.synchronized = False
        yield
    finally:
        for layer in synchronised:
            layer.synchronized = True


def replica_share(gradients: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Return this replica's part of the mean gradient: a Keras optimizer sums gradients over replicas."""
    count = replica_count()
    # An embedding's gradient is sparse, which cannot be divided.
    return list(gradients) if count == 1 else [tf.convert_to_tensor(gradient) / count for gradient in gradients]


def clipped_together(optimizer: keras.Optimizer, gradients: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Return the mean gradient of all replicas, clipped; the gradients as they are if the optimizer does not clip.

    A Keras optimizer clips what each replica gives it, before it sums them: the result would depend on their number.
    After this a replica's share is too short to be clipped again.
    """
    if not is_clipping(optimizer):
        return list(gradients)
    return clip(optimizer, mean_over_replicas([tf.convert_to_tensor(gradient) for gradient in gradients]))


def mean_over_replicas(statistics: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Return the means of the replicas' statistics; integers are the same on all replicas and stay as they are."""
    if replica_count() == 1:
        return list(statistics)
    replica = tf.distribute.get_replica_context()
    mean = tf.distribute.ReduceOp.MEAN
    return [replica.all_reduce(mean, value) if value.dtype.is_floating else value for value in statistics]


def run_on_replicas(
    strategy: tf.distribute.Strategy, step: Callable[[Any, Any], Scalars], images: Any, labels: Any
) -> Scalars:
    """Call `step` on every replica with its part of a batch, and return the means of its scalars.

    The whole batch goes to every replica, which takes its part there: the same for replicas of other hosts, as a batch
    is a pure function of seed, epoch and step.
    """
    count = strategy.num_replicas_in_sync
    if count == 1:
        return strategy.run(step, (images, labels))

    def on_replica(images: tf.Tensor, labels: tf.Tensor) -> Scalars:
        return step(_replica_part(images, count), _replica_part(labels, count))

    scalars = strategy.run(on_replica, (images, labels))
    return {name: strategy.reduce(tf.distribute.ReduceOp.MEAN, value, axis=None) for name, value in scalars.items()}


def _replica_part(batch: tf.Tensor, count: int) -> tf.Tensor:
    place = tf.distribute.get_replica_context().replica_id_in_sync_group
    size = batch.shape[0]
    return tf.reshape(batch, [count, size // count if size else -1, *batch.shape[1:]])[place]


def _batch_norms(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    return [layer for layer in all_layers(model) if isinstance(layer, keras.layers.BatchNormalization)]
