"""Compute an augmented batch from a step of the plan: a gather of pixels, a mask, and optionally mixup.

Shapes: n images of a split, B of a batch, H rows and W columns of pixels, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import tensorflow as tf

from infomcr_cli.config.schema.data import AugmentConfig
from infomcr_cli.data.dataset import Dataset, Split
from infomcr_cli.data.epoch_plan import EpochPlan

Batch = tuple[tf.Tensor, tf.Tensor]


def render(step: EpochPlan, source: Resident, scale: Scale, augment: AugmentConfig, num_classes: int) -> Batch:
    """Return the batch of one step.

    Args:
        step: a plan without its leading axis.

    Returns:
        float32 images, [B, H, W, C], and int32 labels [B], or float32 class weights [B, num_classes] if images are
            mixed.
    """
    _, height, width, channels = source.images.shape
    moved = augment.padding or augment.flip
    raw = _crop(step, source.images) if moved else tf.gather(source.images, step.order)  # [B, H, W, C]
    rows = scale.rows(raw)  # [B, H, W * C]
    # Masked after the standardisation: a pixel of the padding or of the cutout is 0, the mean of its channel.
    if augment.padding:
        rows *= _along_rows(*_inside(step, height, width), channels)
    if augment.cutout:
        rows *= 1.0 - _along_rows(*_hole(step, augment.cutout, height, width), channels)
    images = tf.reshape(rows, [-1, height, width, channels])  # [B, H, W, C]
    labels = tf.gather(source.labels, step.order)  # [B]
    return _mix(step, images, tf.one_hot(labels, num_classes)) if augment.mixup else (images, labels)


def _crop(step: EpochPlan, images: tf.Tensor) -> tf.Tensor:
    """Gather mirrored, shifted images; pixels from outside repeat the border and are masked later.

    Args:
        images: of the whole split, [n, H, W, C].

    Returns:
        the images of the batch, [B, H, W, C].
    """
    count, height, width, channels = images.shape
    wide = tf.int64 if count * height * width >= 2**31 else tf.int32  # `pixels` indexes the pixels of the whole split
    rows = tf.clip_by_value(_places(step.shifts[:, 0], height), 0, height - 1)  # [B, H]
    columns = _places(step.shifts[:, 1], width)  # [B, W]
    # The image is mirrored first and then cropped.
    columns = tf.clip_by_value(tf.where(step.flips[:, None], width - 1 - columns, columns), 0, width - 1)
    first = tf.cast(step.order, wide)[:, None, None] * (height * width)  # [B, 1, 1]
    pixels = first + tf.cast(rows[:, :, None] * width + columns[:, None, :], wide)  # [B, H, W]
    return tf.gather(tf.reshape(images, [-1, channels]), pixels)  # rows of [n * H * W, C] → [B, H, W, C]


def _places(shifts: tf.Tensor, size: int) -> tf.Tensor:
    """Return where each of `size` pixels comes from, [B, size]; outside 0..size-1 is padding."""
    return shifts[:, None] + tf.range(size)[None, :]


def _inside(step: EpochPlan, height: int, width: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Return which rows [B, H] and columns [B, W] of the batch come from the image, not from the padding."""
    rows, columns = _places(step.shifts[:, 0], height), _places(step.shifts[:, 1], width)
    return (rows >= 0) & (rows < height), (columns >= 0) & (columns < width)


def _hole(step: EpochPlan, side: int, height: int, width: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Return which rows [B, H] and columns [B, W] are in a square, cut at the border (DeVries & Taylor, 2017)."""
    # Distances from the centre of the square.
    rows, columns = _places(-step.holes[:, 0], height), _places(-step.holes[:, 1], width)
    low, high = -(side // 2), side - side // 2
    return (rows >= low) & (rows < high), (columns >= low) & (columns < high)


def _along_rows(rows: tf.Tensor, columns: tf.Tensor, channels: int) -> tf.Tensor:
    """Return the outer product of two masks [B, H] and [B, W] as float32 [B, H, W * channels]."""
    columns = tf.repeat(tf.cast(columns, tf.float32), channels, axis=1)  # [B, W * C]
    return tf.cast(rows, tf.float32)[:, :, None] * columns[:, None, :]


def _mix(step: EpochPlan, images: tf.Tensor, targets: tf.Tensor) -> Batch:
    """Return λ·batch + (1 - λ)·permuted batch, images and targets alike (Zhang et al., 2018)."""
    weight = step.weights  # a scalar: all images of a batch have the same weight
    mixed = [weight * x + (1.0 - weight) * tf.gather(x, step.partners) for x in (images, targets)]
    return mixed[0], mixed[1]


@dataclass(frozen=True)
class Resident:
    """Tensors on the host.

    Args:
        images: raw, [n, H, W, C], uint8 or float32.
        labels: int32, [n].
    """

    images: tf.Tensor
    labels: tf.Tensor


# Weak keys: the copy of a split's images is freed with the split.
_residents: WeakKeyDictionary[Split, Resident] = WeakKeyDictionary()


def resident(split: Split) -> Resident:
    """Return the tensors of `split`, made at the first call."""
    if split not in _residents:
        with tf.device("CPU:0"):
            _residents[split] = Resident(tf.constant(split.pixels), tf.constant(split.labels, tf.int32))
    return _residents[split]


@dataclass(frozen=True)
class Scale:
    """Standardisation along whole rows of pixels: a subtraction over 3 channels at a time is many times slower.

    Args:
        mean, std: one value for each pixel of a row and each channel, [W * C].
    """

    mean: tf.Tensor
    std: tf.Tensor

    @classmethod
    def of(cls, dataset: Dataset) -> Scale:
        """Return the statistics of `dataset`, repeated along a row."""
        width = dataset.image_shape[1]
        mean, std = (np.tile(np.asarray(v, np.float32), width) for v in (dataset.mean, dataset.std))  # [C] → [W * C]
        with tf.device("CPU:0"):
            return cls(tf.constant(mean), tf.constant(std))

    def rows(self, images: tf.Tensor) -> tf.Tensor:
        """Return standardised float32 rows [b, H, W * C] of raw images [b, H, W, C]."""
        _, height, width, channels = images.shape
        flat = tf.reshape(tf.cast(images, tf.float32), [-1, height, width * channels])  # [b, H, W * C]
        return (flat - self.mean) / self.std
