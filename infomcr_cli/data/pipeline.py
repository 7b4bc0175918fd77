"""Data set → batches: of training, by the plan of an epoch; of evaluation, every image in stored order."""

from __future__ import annotations

from dataclasses import astuple

import tensorflow as tf

from infomcr_cli.config.data_schema import AugmentConfig, DataConfig
from infomcr_cli.data.plan import EpochPlan, plan_epoch
from infomcr_cli.data.record import Dataset, Split
from infomcr_cli.data.render import Batch, render
from infomcr_cli.data.resident import Scale, resident
from infomcr_cli.errors import InputError

AHEAD = 2  # batches made before they are asked for


def training_batches(
    dataset: Dataset,
    data_config: DataConfig,
    augment_config: AugmentConfig,
    *,
    seed: int,
    epoch: int,
    first_step: int = 0,
) -> tf.data.Dataset:
    """Return the batches of one epoch from `first_step` on; the incomplete last batch is dropped.

    Args:
        seed, epoch: with the step they determine every bit of a batch.
        first_step:  steps of this epoch that a resumed run has already taken.
    Returns: float32 standardised images [B, H, W, C] with int32 labels [B]; with mixup, float32 class weights [B, C].
    Raises:  InputError: the training split is smaller than one batch.
    """
    count, batch_size = len(dataset.train), data_config.batch_size
    if count < batch_size:
        raise too_small(batch_size, count)
    source, scale = resident(dataset.train), Scale.of(dataset)
    plan = plan_epoch(count, batch_size, dataset.image_shape, augment_config, seed=seed, epoch=epoch).since(first_step)

    def batch(*step: tf.Tensor) -> Batch:
        return render(EpochPlan(*step), source, scale, augment_config, dataset.num_classes)

    with tf.device("CPU:0"):
        steps = tf.data.Dataset.from_tensor_slices(astuple(plan))
        return steps.map(batch).prefetch(AHEAD).with_options(_options())


def evaluation_batches(split: Split, dataset: Dataset, batch_size: int) -> tf.data.Dataset:
    """Return every image of `split` in stored order, the incomplete last batch included.

    Returns: float32 standardised images [b, H, W, C] with int32 labels [b], b = `batch_size` but for the last.
    """
    source, scale = resident(split), Scale.of(dataset)
    shape = dataset.image_shape

    def batch(start: tf.Tensor) -> Batch:
        raw, labels = (x[start : start + batch_size] for x in (source.images, source.labels))
        return tf.reshape(scale.rows(raw), [-1, *shape]), labels

    with tf.device("CPU:0"):
        starts = tf.data.Dataset.range(0, len(split), batch_size)
        return starts.map(batch).prefetch(AHEAD).with_options(_options())


def too_small(batch_size: int, count: int) -> InputError:
    """Return the error of a training set that does not fill one batch."""
    return InputError(
        "data.batch_size must not exceed the number of training images",
        received=f"batch_size={batch_size}, {count} images",
        advice=f"Try data.batch_size={max(1, count // 2)}.",
    )


def _options() -> tf.data.Options:
    """One private thread: the batches come in order, and the network's own threads stay its own."""
    options = tf.data.Options()
    options.deterministic = True
    options.threading.private_threadpool_size = 1
    options.threading.max_intra_op_parallelism = 1
    options.autotune.enabled = False
    return options
