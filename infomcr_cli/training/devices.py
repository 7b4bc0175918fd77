"""One batch on several devices, by `tf.distribute`: what a step must know of it, and nothing more.

Every replica holds all weights and takes its contiguous part of the global batch, R parts for R replicas. Batch norm
takes the statistics of the global batch in the main pass, gradients are averaged, so that a step is the step of one
device but for rounding, and for dropout: all replicas draw the same units for their parts. Passes that leave no trace
(`passes.stateless_pass`) keep to the images they are given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from infomcr_cli.models.keras_internals import all_layers

Scalars = dict[str, tf.Tensor]


def replica_count() -> int:
    """Return R, the replicas of the strategy in whose scope this is called."""
    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def synchronise(model: keras.Model) -> None:
    """Let batch norm take the statistics of the global batch, where there are several replicas."""
    for layer in _batch_norms(model):
        layer.synchronized = replica_count() > 1


@contextmanager
def own_statistics(model: keras.Model) -> Iterator[None]:
    """Inside the block batch norm takes the statistics of the images it is given, on every replica for itself.

    Replicas are traced one after the other and change places only where they meet, which nothing in the block may do.
    """
    synchronised = [layer for layer in _batch_norms(model) if layer.synchronized]
    try:
        for layer in synchronised:
            layer.synchronized = False
        yield
    finally:
        for layer in synchronised:
            layer.synchronized = True


def share_of_mean(gradients: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Return this replica's part of the mean gradient: a Keras optimizer sums over replicas."""
    count = replica_count()
    return list(gradients) if count == 1 else [gradient / count for gradient in gradients]


def agreed(statistics: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Return the means of statistics that each replica has found for itself; whole numbers are the same on all."""
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
        return step(_own_part(images, count), _own_part(labels, count))

    scalars = strategy.run(on_replica, (images, labels))
    return {name: strategy.reduce(tf.distribute.ReduceOp.MEAN, value, axis=None) for name, value in scalars.items()}


def _own_part(batch: tf.Tensor, count: int) -> tf.Tensor:
    place = tf.distribute.get_replica_context().replica_id_in_sync_group
    size = batch.shape[0]
    return tf.reshape(batch, [count, size // count if size else -1, *batch.shape[1:]])[place]


def _batch_norms(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    return [layer for layer in all_layers(model) if isinstance(layer, keras.layers.BatchNormalization)]


INSTRUCTIONS = {"avx512_bf16", "amx_bf16", "bf16", "svebf16"}  # as Linux names them, x86 and Arm
PROCESSORS = Path("/proc/cpuinfo")


def is_emulated(precision: str, devices: Sequence[str], processors: Path = PROCESSORS) -> bool:
    """Say whether the processor lacks instructions for bfloat16, in which case float32 is several times faster.

    Args:
        devices:    in use, such as `CPU:0`; a GPU or another accelerator is taken to have them.
        processors: Linux's description; where there is none nothing is known, and nothing is said.
    """
    if precision != "mixed_bfloat16" or not all(device.startswith("CPU") for device in devices):
        return False
    try:
        words = set(processors.read_text().split())
    except OSError:
        return False
    return not words & INSTRUCTIONS
