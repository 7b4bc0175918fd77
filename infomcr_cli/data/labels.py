"""Check labels and classes, by the same rules for every source."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.errors import InputError

MAX_CLASSES = 100_000
ONE_HOT = "Rows of one-hot labels become class indices by labels.argmax(axis=1)."


def class_indices(labels: Any, name: str = "labels", *, classes: int = MAX_CLASSES) -> NDArray[np.int32]:
    """Return labels [n] or [n, 1] as int32 [n].

    Whole numbers of any type are accepted, also as booleans or floats. They are checked before they are cast, because
    2**32 + 1 would become 1.

    Args:
        name:    how they are named in an error.
        classes: how many classes there are.

    Raises:
        InputError: they are not whole numbers, or outside 0..classes - 1.
    """
    found = np.asarray(labels)
    found = found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found
    if found.ndim != 1 or not len(found) or found.dtype.kind not in "biuf":
        advice = ONE_HOT if found.ndim == 2 else None
        raise InputError(f"{name} must be whole numbers, [n]", received=f"{found.dtype} {found.shape}", advice=advice)
    broken = found[~np.isfinite(found) | (found != np.floor(found))] if found.dtype.kind == "f" else found[:0]
    if len(broken):
        raise InputError(f"{name} must be whole numbers", received=f"{broken[0]} ({found.dtype})")
    low, high = found.min().item(), found.max().item()
    if low < 0 or high >= classes:
        raise InputError(f"{name} must be 0..{classes - 1}", received=f"{low}..{high}")
    return found.astype(np.int32)


def class_name(folder: str) -> str:
    """Return the class name of a folder, with Unicode normalized (macOS writes é as two characters)."""
    return unicodedata.normalize("NFC", folder)


def check_classes(
    train: Iterable[str],
    test: Iterable[str],
    root: Path | str,
    *,
    layout: str,
    splits: tuple[str, str] = ("train/", "test/"),
) -> None:
    """Raise InputError unless there are at least two training classes, and all test classes are among them.

    Args:
        train, test: the classes that have an image in each split.
        root:        where the data lies, for messages.
        layout:      what it should look like.
        splits:      what the two splits are called there.
    """
    known, tested = sorted(set(train)), sorted(set(test))
    for classes, split in ((known, splits[0]), (tested, splits[1])):
        if not classes:
            advice = f"No image was found in {split}CLASS/."
            if split == "test/" and Path(root, "val").is_dir():
                advice += " Is val/ meant? Call it test/."
            raise InputError(f"data.root must name {layout}", received=str(root), advice=advice)
    if len(known) < 2:
        raise InputError("there must be at least two classes", received=f"{known} in {root}")
    unknown = [name for name in tested if name not in known]
    if unknown:
        rule = f"every class of {splits[1]} must have an image in {splits[0]}"
        raise InputError(rule, received=unknown[0], accepted=known[:50])
