"""What is computed from a whole source once: the numbers of standardisation, and a hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.data.record import Dataset, Split

Channels = tuple[float, ...]
BLOCK = 4096  # images that are looked at together, so that memory stays small

# Of the CIFAR-10 training images, as the study uses them.
CIFAR10: tuple[Channels, Channels] = ((125.307, 122.95, 113.865), (62.9932, 62.0887, 66.7048))


def whole_dataset(
    name: str,
    parts: tuple[Split, Split, tuple[str, ...]],
    *,
    stored_order: bool,
    scale: tuple[Channels, Channels] | None = None,
) -> Dataset:
    """Return the whole of a source: training split, test split and class names with what follows from them.

    Args: scale: mean and std; None: of all training images.
    """
    train, test, names = parts
    mean, std = scale or channel_statistics(train)
    return Dataset(name, train, test, names, mean, std, stored_order, fingerprint(train, test))


def channel_statistics(train: Split) -> tuple[Channels, Channels]:
    """Return mean and standard deviation of each channel over all training images; std 1 for a constant channel."""
    count = train.pixels[..., 0].size
    mean = sum(block.sum((0, 1, 2)) for block in _blocks(train)) / count
    variance = sum(((block - mean) ** 2).sum((0, 1, 2)) for block in _blocks(train)) / count
    return tuple(mean.tolist()), tuple(np.where(variance > 0, np.sqrt(variance), 1.0).tolist())


def _blocks(split: Split) -> Iterator[NDArray[np.float64]]:
    return (split.pixels[i : i + BLOCK].astype(np.float64) for i in range(0, len(split), BLOCK))


def fingerprint(*splits: Split) -> str:
    """Return the SHA-256 of the shapes, pixels and labels of all splits."""
    digest = hashlib.sha256()
    for array in (array for split in splits for array in (split.pixels, split.labels)):
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
