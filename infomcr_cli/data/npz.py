"""A file of arrays: train_images, train_labels, test_images, test_labels and, where wanted, class_names."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.data.files import MAX_HELD
from infomcr_cli.data.record import Split
from infomcr_cli.errors import InputError

LAYOUT = "an .npz file with train_images, train_labels, test_images, test_labels"
KEYS = ("train_images", "train_labels", "test_images", "test_labels")
SYNONYMS = {"train_images": "x_train", "train_labels": "y_train", "test_images": "x_test", "test_labels": "y_test"}
MAX_CLASSES = 100_000


def check_npz(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of each of the four arrays, read from their headers alone.

    Raises: InputError: an array is missing, is too large or has a shape or type that cannot be images or labels.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            keys = _keys(members, path)
            headers = {key: header(archive, members[keys[key]]) for key in KEYS}
    except (zipfile.BadZipFile, OSError, ValueError, EOFError, NotImplementedError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"data.root must name {LAYOUT}", received=str(path), advice=f"{str(error)!r}.") from error
    _check_headers(headers)
    return {key: shape for key, (shape, _) in headers.items()}


def read_npz(path: Path) -> tuple[Split, Split, tuple[str, ...]]:
    """Return training split, test split and class names; pixels stay uint8, other types become float32.

    Pixels are on the 0..255 scale. Images may lack the channel axis.
    """
    check_npz(path)
    with np.load(path, allow_pickle=False) as archive:
        keys = _keys(dict.fromkeys(archive.files), path)
        train, test = (_split(archive[keys[f"{s}_images"]], archive[keys[f"{s}_labels"]]) for s in ("train", "test"))
        return train, test, class_names(archive, train, test)


def _keys(members: dict[str, Any], path: Path) -> dict[str, str]:
    """Return the name under which each array stands: ours, or the one that Keras uses."""
    found = {key: name for key in KEYS for name in (SYNONYMS[key], key) if name in members}
    missing = [key for key in KEYS if key not in found]
    if missing:
        raise InputError(f"data.root must name {LAYOUT}", received=f"no {missing[0]} in {path}", accepted=KEYS)
    return found


def header(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and type of an array without reading it."""
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    return shape, dtype


def _check_headers(headers: dict[str, tuple[tuple[int, ...], np.dtype[Any]]]) -> None:
    for key, (shape, dtype) in headers.items():
        held = int(np.prod([float(n) for n in shape])) * dtype.itemsize
        if dtype.kind not in ("iu" if "labels" in key else "iuf") or held > MAX_HELD or 0 in shape:
            raise InputError(f"{key} must be numbers of at most {MAX_HELD} bytes", received=f"{dtype} {shape}")
    for split in ("train", "test"):
        images, labels = headers[f"{split}_images"][0], headers[f"{split}_labels"][0]
        if len(images) not in (3, 4) or labels not in ((images[0],), (images[0], 1)):
            raise InputError(
                f"{split}_images must be [n, height, width, channels] and {split}_labels [n]",
                received=f"{images} and {labels}",
            )
    if headers["train_images"][0][1:] != headers["test_images"][0][1:]:
        raise InputError("training and test images must be of one shape", received=_shapes(headers))


def _shapes(headers: dict[str, tuple[tuple[int, ...], np.dtype[Any]]]) -> str:
    return " and ".join(str(headers[f"{split}_images"][0][1:]) for split in ("train", "test"))


def _split(images: NDArray[Any], labels: NDArray[Any]) -> Split:
    pixels = images if images.dtype == np.uint8 else images.astype(np.float32)
    if not np.isfinite(pixels).all():
        raise InputError("pixels must be finite numbers", received="NaN or infinity")
    labels = labels.reshape(-1)
    if labels.min() < 0 or labels.max() >= MAX_CLASSES:
        raise InputError(f"labels must be 0..{MAX_CLASSES - 1}", received=f"{labels.min()}..{labels.max()}")
    return Split(pixels if pixels.ndim == 4 else pixels[..., None], labels.astype(np.int32))


def class_names(archive: Any, train: Split, test: Split) -> tuple[str, ...]:
    """Return the names of the classes as a file gives them, or their numbers."""
    count = 1 + int(max(train.labels.max(), test.labels.max()))
    if "class_names" not in archive.files:
        return tuple(str(i) for i in range(max(2, count)))
    try:
        names = archive["class_names"]
    except ValueError as error:  # objects, which would have to be unpickled
        raise InputError("class_names must be text", received="objects") from error
    if names.dtype.kind != "U" or names.ndim != 1 or len(names) < count:
        raise InputError(f"class_names must be text for each of the {count} classes", received=f"{names.dtype}")
    return tuple(names.tolist())
