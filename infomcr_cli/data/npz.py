"""Load an .npz file: train_images, train_labels, test_images, test_labels and, optionally, class_names."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.data.dataset import Split
from infomcr_cli.data.files import DAMAGED, MAX_HELD, MAX_MEMBER, damaged
from infomcr_cli.data.labels import MAX_CLASSES, ONE_HOT, check_classes, class_indices
from infomcr_cli.errors import InputError

LAYOUT = "an .npz file with train_images, train_labels, test_images, test_labels"
KEYS = ("train_images", "train_labels", "test_images", "test_labels")
SYNONYMS = {"train_images": "x_train", "train_labels": "y_train", "test_images": "x_test", "test_labels": "y_test"}

Header = tuple[tuple[int, ...], np.dtype[Any]]


def check_npz(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the four arrays; those of the images come from their headers.

    Raises:
        InputError: an array is missing or damaged, or cannot be images or labels.
    """
    with open_members(path) as members:
        keys = _keys(members.names, path)
        headers = {key: members.header(keys[key]) for key in KEYS}
        _check_headers(headers, keys)
        _labels(members, keys, path)
    return {key: shape for key, (shape, _) in headers.items()}


def read_npz(path: Path) -> tuple[Split, Split, tuple[str, ...]]:
    """Return training split, test split and class names; pixels stay uint8, other types become float32.

    Pixels are on the 0..255 scale. Images may lack the channel axis. Labels are whole numbers of any type.

    Raises:
        InputError: an array is missing or damaged, or cannot be images or labels.
    """
    check_npz(path)
    with open_members(path) as members:
        keys = _keys(members.names, path)
        labels = _labels(members, keys, path)
        train, test = (
            Split(_pixels(members.read(keys[f"{split}_images"]), keys[f"{split}_images"]), split_labels)
            for split, split_labels in zip(("train", "test"), labels, strict=True)
        )
        return train, test, class_names(members, 1 + max(int(part.max()) for part in labels))


class Members:
    """The arrays of an open file by name, each checked against its header."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.names = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}

    def header(self, name: str) -> Header:
        """Return shape and type of an array."""
        with self._archive.open(self.names[name]) as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file)
        return shape, dtype

    def read(self, name: str) -> NDArray[Any]:
        """Return an array; the checksum of the file is compared."""
        with self._archive.open(self.names[name]) as file:
            return np.lib.format.read_array(file, allow_pickle=False)


@contextmanager
def open_members(path: Path) -> Iterator[Members]:
    """Open an .npz file; damage that is found inside the block raises InputError.

    Yields:
        the arrays by name, read on demand.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            yield Members(archive)
    except InputError:
        raise
    except DAMAGED as error:
        raise damaged(path, error, needed=LAYOUT) from error


def _keys(names: dict[str, Any], path: Path) -> dict[str, str]:
    """Return the name of each array in the file: ours, or Keras's."""
    found = {key: name for key in KEYS for name in (SYNONYMS[key], key) if name in names}
    missing = [key for key in KEYS if key not in found]
    if missing:
        raise InputError(f"data.root must name {LAYOUT}", received=f"no {missing[0]} in {path}", accepted=KEYS)
    return found


def _check_headers(headers: dict[str, Header], keys: dict[str, str]) -> None:
    for key, (shape, dtype) in headers.items():
        _check_type(keys[key], key, dtype)
        _check_size(keys[key], key, shape, dtype)
    for split in ("train", "test"):
        images, labels = headers[f"{split}_images"][0], headers[f"{split}_labels"][0]
        if len(images) not in (3, 4) or labels not in ((images[0],), (images[0], 1)):
            raise InputError(
                f"{split}_images must be [n, height, width, channels] and {split}_labels [n]",
                received=f"{images} and {labels}",
                advice=ONE_HOT if len(labels) == 2 else None,
            )
    train, test = (headers[f"{split}_images"][0][1:] for split in ("train", "test"))
    if train != test:
        raise InputError("training and test images must have the same shape", received=f"{train} and {test}")


def _check_type(name: str, key: str, dtype: np.dtype[Any]) -> None:
    if "labels" in key and dtype.kind not in "biuf":
        raise InputError(
            f"{name} must be integers, the class of each image",
            received=dtype,
            advice="Store them as integers: labels.astype(int).",
        )
    if "images" in key and dtype.kind not in "iuf":
        raise InputError(
            f"{name} must be numbers, pixels from 0 to 255", received=dtype, advice="Store them as uint8 or float32."
        )


def _check_size(name: str, key: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    most = MAX_MEMBER if "labels" in key else MAX_HELD
    if 0 in shape:
        raise InputError(f"{name} must be numbers of at least one image", received=shape)
    if held_bytes(shape, dtype) > most:
        raise InputError(f"{name} must be numbers of at most {most} bytes in memory", received=f"{dtype} {shape}")


def held_bytes(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Return the memory that an array takes: all but bytes and booleans become 32 bits an element."""
    return math.prod(shape) * (1 if dtype.itemsize == 1 and dtype.kind in "ub" else max(4, dtype.itemsize))


def _labels(members: Members, keys: dict[str, str], path: Path) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    names = keys["train_labels"], keys["test_labels"]
    train, test = (class_indices(members.read(name), name) for name in names)
    known, tested = (map(str, np.unique(part)) for part in (train, test))
    check_classes(known, tested, path, layout=LAYOUT, splits=names)
    return train, test


def _pixels(images: NDArray[Any], name: str) -> NDArray[np.uint8] | NDArray[np.float32]:
    pixels = images if images.dtype == np.uint8 else images.astype(np.float32)
    if not np.isfinite(pixels).all():
        raise InputError(f"{name} must be finite numbers", received="NaN or infinity")
    return pixels if pixels.ndim == 4 else pixels[..., None]  # [n, H, W] → [n, H, W, 1]


def class_names(members: Members, count: int) -> tuple[str, ...]:
    """Return the names of the classes as a file gives them, or their numbers.

    Args:
        count: how many classes there must be at least.

    Raises:
        InputError: they are not text, too few or too long.
    """
    if "class_names" not in members.names:
        return tuple(str(i) for i in range(count))
    shape, dtype = members.header("class_names")
    if dtype.kind != "U" or len(shape) != 1 or not count <= shape[0] <= MAX_CLASSES:
        raise InputError(
            f"class_names must be strings, one for each of the {count} classes", received=f"{dtype} {shape}"
        )
    if shape[0] * dtype.itemsize > MAX_MEMBER:
        raise InputError(f"class_names must have at most {MAX_MEMBER} bytes", received=f"{dtype} {shape}")
    return tuple(members.read("class_names").tolist())
