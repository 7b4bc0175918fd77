"""Iterate over a data set in batches: training by the plan of each epoch, evaluation in stored order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from infomcr_cli.config.schema.data import AugmentConfig, DataConfig
from infomcr_cli.data.augment import Batch, Scale, render, resident
from infomcr_cli.data.dataset import Dataset, Split
from infomcr_cli.data.epoch_plan import EpochPlan, plan_epoch
from infomcr_cli.data.streamed import StreamedImages
from infomcr_cli.data.streaming import streamed_batches
from infomcr_cli.data.subsets import check_batch

AHEAD = 2  # batches made in advance


def training_stream(
    dataset: Dataset,
    data_config: DataConfig,
    augment_config: AugmentConfig,
    *,
    seed: int,
    epochs: int,
    first_epoch: int = 0,
    first_step: int = 0,
) -> tf.data.Dataset:
    """Return the batches of all epochs, one after the other; the incomplete last batch of each epoch is dropped.

    Making an iterator costs about a tenth of a second, so a training loop makes one and keeps it. Batch i of epoch
    e is the same bits whether the stream began there or earlier.

    Args:
        seed:        with epoch and step it determines every bit of a batch.
        epochs:      the stream ends after epoch `epochs` - 1.
        first_epoch: the epoch in which a resumed run continues.
        first_step:  how many steps of that epoch it has already taken.

    Returns:
        float32 standardised images [B, H, W, C] with int32 labels [B]; with mixup, float32 class weights [B, C].

    Raises:
        InputError: the training split is smaller than one batch, or the samples are not images.
    """
    check_batch(data_config.batch_size, len(dataset.train))
    if isinstance(dataset.train.images, StreamedImages):
        return streamed_batches(
            dataset,
            data_config.batch_size,
            augment_config,
            seed=seed,
            epochs=range(first_epoch, epochs),
            first_step=first_step,
            options=_options(threads=dataset.train.images.decoders),
        )
    shape = len(dataset.train), data_config.batch_size, dataset.image_shape
    source, scale = resident(dataset.train), Scale.of(dataset)

    def draws(epoch: int) -> EpochPlan:
        plan = plan_epoch(*shape, augment_config, seed=seed, epoch=int(epoch))
        return plan.since(first_step if epoch == first_epoch else 0)

    @tf.autograph.experimental.do_not_convert
    def batch(*step: tf.Tensor) -> Batch:  # one slice of each array of the plan: [B], [B, 2] or a scalar
        return render(EpochPlan(*step), source, scale, augment_config, dataset.num_classes)

    with tf.device("CPU:0"):
        steps = tf.data.Dataset.range(first_epoch, epochs).flat_map(_steps_of(draws))
        return steps.map(batch).prefetch(AHEAD).with_options(_options())


def named_failures(batches: tf.data.Dataset, dataset: Dataset) -> Iterator[Any]:
    """Yield training batches; if a file fails, raise the InputError that names it instead of TensorFlow's error.

    Raises:
        InputError: an image of `dataset` cannot be read or decoded.
    """
    try:
        yield from batches
    except tf.errors.OpError as error:
        images = dataset.train.images
        if isinstance(images, StreamedImages) and images.failures:
            raise images.failures[0] from error
        raise


def training_batches(
    dataset: Dataset,
    data_config: DataConfig,
    augment_config: AugmentConfig,
    *,
    seed: int,
    epoch: int,
    first_step: int = 0,
) -> tf.data.Dataset:
    """Return the batches of one epoch from `first_step` on, as a part of `training_stream`."""
    place = {"first_epoch": epoch, "epochs": epoch + 1, "first_step": first_step}
    return training_stream(dataset, data_config, augment_config, seed=seed, **place)


def steps_per_epoch(dataset: Dataset, data_config: DataConfig) -> int:
    """Return the number of whole batches in an epoch."""
    return len(dataset.train) // data_config.batch_size


def evaluation_batches(
    split: Split, dataset: Dataset, batch_size: int
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int32]]]:
    """Yield every image of `split` in stored order, the incomplete last batch included.

    Yields:
        standardised images [b, H, W, C] with labels [b], b = `batch_size` but for the last.
    """
    for start in range(0, len(split), batch_size):
        part = slice(start, start + batch_size)
        yield dataset.standardise(split.images[part]), split.labels[part]


def _steps_of(draws: Any) -> Any:
    """Return the function from an epoch to its steps, which NumPy draws once an epoch."""

    def arrays(epoch: int) -> tuple[NDArray[Any], ...]:
        return tuple(vars(draws(epoch)).values())

    example = arrays(0)

    @tf.autograph.experimental.do_not_convert
    def steps(epoch: tf.Tensor) -> tf.data.Dataset:
        # Declared stateless, which it is: with deterministic operations, tf.data makes no batch in advance if a
        # function of the stream is stateful.
        types = [array.dtype for array in example]
        drawn = tf.numpy_function(arrays, [epoch], types, stateful=False)
        # `numpy_function` returns tensors of unknown shape; a compiled step needs [S, B], [S, B, 2] or [S].
        for tensor, array in zip(drawn, example, strict=True):
            tensor.set_shape([None, *array.shape[1:]])
        return tf.data.Dataset.from_tensor_slices(tuple(drawn))

    return steps


def _options(threads: int = 1) -> tf.data.Options:
    """Return options for ordered batches from a private thread pool, separate from the network's."""
    options = tf.data.Options()
    options.deterministic = True
    options.threading.max_intra_op_parallelism = 1
    options.threading.private_threadpool_size = threads
    options.autotune.enabled = False
    return options
