"""CIFAR-10 and CIFAR-100 in their official layouts, binary and Python (Krizhevsky, 2009)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.console.text import printable
from infomcr_cli.data.cifar_pickle import read_batch
from infomcr_cli.data.dataset import Split
from infomcr_cli.data.files import Files
from infomcr_cli.data.labels import class_indices
from infomcr_cli.errors import InputError

PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class Layout:
    """The layout of an official archive.

    Args:
        train, test: names of the batches in their order, without the ending .bin.
        names:       files with the class names: (pickled file, its key), text file.
        label:       key of the labels in a pickled batch.
        label_bytes: label bytes of a binary record, and which of them counts.
        classes:     the class names if the archive has none.
    """

    train: tuple[str, ...]
    test: tuple[str, ...]
    names: tuple[tuple[str, str], str]
    label: str
    label_bytes: tuple[int, int]
    classes: tuple[str, ...]


_TEN = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_FIVE = tuple(f"data_batch_{number}" for number in range(1, 6))
CIFAR10 = Layout(_FIVE, ("test_batch",), (("batches.meta", "label_names"), "batches.meta.txt"), "labels", (1, 0), _TEN)


def cifar100(labels: str) -> Layout:
    """Return the layout of CIFAR-100 with `fine` or `coarse` labels."""
    count, place = (20, 0) if labels == "coarse" else (100, 1)
    names = (("meta", f"{labels}_label_names"), f"{labels}_label_names.txt")
    return Layout(("train",), ("test",), names, f"{labels}_labels", (2, place), tuple(str(i) for i in range(count)))


def is_official(name: str, layout: Layout) -> bool:
    """Return whether a file of this name is part of the layout, or lists its classes."""
    return _batch(name) in (*layout.train, *layout.test) or _base(name) in (layout.names[0][0], layout.names[1])


def read_official(files: Files, layout: Layout) -> tuple[Split, Split, tuple[str, ...]]:
    """Return training split, test split and class names, images in the archive's order.

    Args:
        files: the official files, by name.

    Raises:
        InputError: a batch is missing, there twice, damaged or has other labels or pixels than it should.
    """
    batches = _batches(files, layout)
    classes = _class_names(files, layout)
    train, test = (
        _read_split({batches[name]: files[batches[name]] for name in names}, layout, len(classes))
        for names in (layout.train, layout.test)
    )
    return train, test, classes


def _batches(files: Files, layout: Layout) -> dict[str, str]:
    """Return batch → its file; each batch is there once, and all of them are in one folder."""
    found = sorted(name for name in files if _batch(name) in (*layout.train, *layout.test))
    is_whole = sorted(map(_batch, found)) == sorted((*layout.train, *layout.test))
    if not is_whole or len({PurePosixPath(name).parent for name in found}) != 1:
        raise InputError(
            f"CIFAR must contain each of {', '.join((*layout.train, *layout.test))} once, in one folder",
            received=[printable(name, 80) for name in found[:12]],
            advice=f"{_AGAIN} If data.root contains several versions, name the folder of one.",
        )
    return {_batch(name): name for name in found}


def _base(name: str) -> str:
    return PurePosixPath(name).name


def _batch(name: str) -> str:
    return _base(name).removesuffix(".bin")


def _read_split(files: Files, layout: Layout, classes: int) -> Split:
    parts = []
    for name, read in files.items():
        decode = _read_binary if name.endswith(".bin") else _read_pickled
        pixels, labels = decode(name, read(), layout)
        parts.append((pixels, class_indices(labels, f"{name}: labels", classes=classes)))
    all_pixels, all_labels = (np.concatenate(part) for part in zip(*parts, strict=True))  # [n, 3072], [n]
    # The archives store one channel after the other: [n, channels, rows, columns] → [n, rows, columns, channels].
    images = np.ascontiguousarray(all_pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    return Split(images, all_labels)


_AGAIN = "Take the archive as its authors publish it."


def _read_pickled(name: str, data: bytes, layout: Layout) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    batch = read_batch(data, name=name)
    pixels, labels = batch.get("data"), _integers(batch.get(layout.label))
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape != (len(labels), PIXELS):
        raise InputError(f"a batch must contain {PIXELS} bytes per label", received=name, advice=_AGAIN)
    return pixels, labels


def _integers(labels: Any) -> NDArray[np.int64]:
    """Return labels as an array, empty unless all of them are small whole numbers."""
    plain = labels.tolist() if isinstance(labels, np.ndarray) else labels
    if not isinstance(plain, list) or not all(type(label) is int and 0 <= label < 1000 for label in plain):
        return np.empty(0, np.int64)
    return np.array(plain, np.int64)


def _read_binary(name: str, data: bytes, layout: Layout) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    count, place = layout.label_bytes
    if len(data) % (count + PIXELS):
        raise InputError(
            f"a binary batch must consist of records of {count + PIXELS} bytes", received=name, advice=_AGAIN
        )
    records = np.frombuffer(data, np.uint8).reshape(-1, count + PIXELS)  # [n, label bytes + pixels]
    return records[:, count:], records[:, place].astype(np.int64)


def _class_names(files: Files, layout: Layout) -> tuple[str, ...]:
    (pickled, key), text = layout.names
    by_base = {_base(name): read for name, read in files.items()}
    found: Sequence[Any] = ()
    if pickled in by_base:
        found = read_batch(by_base[pickled](), name=pickled).get(key, ())
    elif text in by_base:
        found = by_base[text]().decode("utf-8", "replace").split()
    plain = (name.decode("latin-1") if isinstance(name, bytes) else name for name in found)
    names = tuple(name for name in plain if isinstance(name, str))
    return names if len(names) == len(layout.classes) else layout.classes
