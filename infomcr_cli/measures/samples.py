"""Check the samples of a measurement, cut them into blocks, and find the ones that are equal."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from infomcr_cli.data.labels import class_indices
from infomcr_cli.errors import InputError

Indices = NDArray[np.int64]


def checked_samples(images: Any, labels: Any) -> tuple[Any, NDArray[np.int32]]:
    """Return images (an array, or a structure of arrays) and labels as arrays of one length.

    Raises:
        InputError: labels are not a vector of class indices, or the lengths differ.
    """
    images = keras.tree.map_structure(np.asarray, images)
    labels = class_indices(labels, classes=2**31)
    lengths = {len(x) for x in keras.tree.flatten(images)}
    if isinstance(images, list) and len(images) == len(labels) and lengths != {len(labels)}:
        raise InputError(
            "images must be one array, or a list with one array per input of the network",
            received=f"a list of {len(images)} images",
            advice="Stack them: np.stack(images).",
        )
    if lengths != {len(labels)}:
        raise InputError("images and labels must have the same length", received=f"{sorted(lengths)} and {len(labels)}")
    return images, labels


def take(images: Any, indices: Indices) -> Any:
    """Return the samples at `indices` of an array or a structure of arrays."""
    return keras.tree.map_structure(lambda x: x[indices], images)


def blocks(count: int, size: int) -> Iterator[tuple[Indices, int]]:
    """Yield the indices of each block of `size` and how many count; a short last block repeats the first samples."""
    for start in range(0, count, size):
        yield np.arange(start, start + size) % count, min(size, count - start)


def even_block_size(count: int, largest: int) -> int:
    """Return the size, at least 2, that cuts `count` samples into the fewest blocks of at most `largest`, evenly."""
    pieces = -(-count // max(2, largest))
    return max(2, -(-count // pieces))


def representatives(images: Any, labels: NDArray[np.int32], chunk: int | None = None) -> Indices:
    """Return for each sample the first one that equals it, [N]; if `chunk` is given, within its own chunk only.

    Equal samples have equal rows; rounding makes them differ in the last digits, which would hide a lost rank.
    """
    first: dict[tuple[int, bytes], int] = {}
    flat = keras.tree.flatten(images)
    found = []
    for i, label in enumerate(labels):
        digest = hashlib.blake2b(b"".join(np.ascontiguousarray(x[i]).tobytes() for x in flat) + label.tobytes())
        found.append(first.setdefault((i // chunk if chunk else 0, digest.digest()), i))
    return np.asarray(found, np.int64)
