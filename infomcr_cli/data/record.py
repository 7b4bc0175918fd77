"""What every data source becomes: two splits of raw images with integer labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Split:
    """One part of a data set.

    Args:
        images: raw pixels on the 0..255 scale, uint8 or float32, [n, height, width, channels]; may be memory-mapped.
        labels: class indices, int32, [n].
    """

    images: NDArray[np.uint8] | NDArray[np.float32]
    labels: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[np.int64]) -> Split:
        """Return the samples at `indices`, in that order."""
        return Split(self.images[indices], self.labels[indices])


@dataclass(frozen=True)
class Dataset:
    """A training and a test split with what is needed to feed them to a network.

    Args:
        name:         the word after `data=`.
        class_names:  one name a class; its length is the number of classes.
        mean, std:    per-channel statistics of standardisation, on the 0..255 scale.
        stored_order: whether the source itself orders the training images (an archive does, a folder does not).
        fingerprint:  hash of the pixels and labels, hexadecimal.
    """

    name: str
    train: Split
    test: Split
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    stored_order: bool
    fingerprint: str

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        height, width, channels = self.train.images.shape[1:]
        return int(height), int(width), int(channels)

    @property
    def num_classes(self) -> int:
        """Number of classes, C."""
        return len(self.class_names)

    def standardise(self, images: NDArray[np.uint8] | NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (images - mean) / std in float32, any leading shape."""
        mean, std = np.asarray(self.mean, np.float32), np.asarray(self.std, np.float32)
        return (images.astype(np.float32) - mean) / std
