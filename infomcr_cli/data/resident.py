"""A split in TensorFlow's memory: copied there once, for as long as the split lives."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import tensorflow as tf

from infomcr_cli.data.record import Dataset, Split


@dataclass(frozen=True)
class Resident:
    """Tensors on the host.

    Args:
        images: raw, [n, H, W, C], uint8 or float32.
        labels: int32, [n].
    """

    images: tf.Tensor
    labels: tf.Tensor


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

    Args: mean, std: one value for each pixel of a row and each channel, [W * C].
    """

    mean: tf.Tensor
    std: tf.Tensor

    @classmethod
    def of(cls, dataset: Dataset) -> Scale:
        """Return the statistics of `dataset`, repeated along a row."""
        width = dataset.image_shape[1]
        with tf.device("CPU:0"):
            return cls(*(tf.constant(np.tile(np.asarray(v, np.float32), width)) for v in (dataset.mean, dataset.std)))

    def rows(self, images: tf.Tensor) -> tf.Tensor:
        """Return standardised float32 rows [b, H, W * C] of raw images [b, H, W, C]."""
        _, height, width, channels = images.shape
        flat = tf.reshape(tf.cast(images, tf.float32), [-1, height, width * channels])
        return (flat - self.mean) / self.std
