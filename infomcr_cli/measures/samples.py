"""Samples as they enter a measurement: checked, cut into blocks, and known to be the same where they are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from infomcr_cli.errors import InputError

Indices = NDArray[np.int64]


def checked_samples(images: Any, labels: Any) -> tuple[Any, NDArray[np.integer]]:
    """Return images (an array, or a structure of arrays) and labels as arrays of one length.

    Raises: InputError: labels are not a vector of integers, or the lengths differ.
    """
    images = keras.tree.map_structure(np.asarray, images)
    labels = np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer) or len(labels) == 0:
        raise InputError("labels must be a vector of class indices", received=f"{labels.dtype} {labels.shape}")
    lengths = {len(x) for x in keras.tree.flatten(images)}
    if lengths != {len(labels)}:
        raise InputError("images and labels must have one length", received=f"{sorted(lengths)} and {len(labels)}")
    return images, labels


def class_indices(labels: NDArray[np.integer], num_classes: int) -> NDArray[np.int32]:
    """Return labels as TensorFlow takes them; their range is checked first, since a cast would make 2³² + 1 a 1.

    Raises: InputError: a label lies outside 0..num_classes - 1.
    """
    if labels.min() < 0 or labels.max() >= num_classes:
        raise InputError(f"labels must lie in 0..{num_classes - 1}", received=f"{labels.min()}..{labels.max()}")
    return labels.astype(np.int32)


def taken(images: Any, indices: Indices) -> Any:
    """Return the samples at `indices` of an array or a structure of arrays."""
    return keras.tree.map_structure(lambda x: x[indices], images)


def blocks(count: int, size: int) -> Iterator[tuple[Indices, int]]:
    """Yield the indices of each block of `size` and how many of them count; a short last block is filled up."""
    for start in range(0, count, size):
        yield np.arange(start, start + size) % count, min(size, count - start)


def even_block_size(count: int, largest: int) -> int:
    """Return the size, at least 2, that cuts `count` samples into the fewest blocks of at most `largest`, evenly."""
    pieces = -(-count // max(2, largest))
    return max(2, -(-count // pieces))


def representatives(images: Any, labels: NDArray[np.int32], chunk: int | None = None) -> Indices:
    """Return for each sample the first one that equals it, [N]; within its own chunk only, where `chunk` is given.

    Equal samples have equal rows; rounding makes them differ in the last digits, which would hide a lost rank.
    """
    first: dict[tuple[int, bytes], int] = {}
    flat = keras.tree.flatten(images)
    found = []
    for i, label in enumerate(labels):
        digest = hashlib.blake2b(b"".join(np.ascontiguousarray(x[i]).tobytes() for x in flat) + label.tobytes())
        found.append(first.setdefault((i // chunk if chunk else 0, digest.digest()), i))
    return np.asarray(found, np.int64)
