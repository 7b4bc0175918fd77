"""Arrays that are not images → a data set: vectors, tokens, several named inputs."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.data import npz
from infomcr_cli.data.dataset import Dataset, Split
from infomcr_cli.data.files import DAMAGED, MAX_HELD
from infomcr_cli.data.inputs import Array, Inputs, checked_array, is_scalable
from infomcr_cli.data.labels import check_classes, class_indices
from infomcr_cli.errors import InputError

LABELS = {"train": ("train_labels", "y_train"), "test": ("test_labels", "y_test")}
LAYOUT = "an .npz file with train_inputs, train_labels, test_inputs, test_labels"
Names = Mapping[str, tuple[str, str]]  # input → its training and its test array


def npz_sizes(path: Path) -> tuple[int, int]:
    """Return the number of training and test samples in an .npz file, images or not, from its headers.

    Raises:
        InputError: an array is missing, or cannot be inputs or labels.
    """
    if names := named_inputs(path):
        return check_arrays(path, names)
    shapes = npz.check_npz(path)
    return shapes["train_images"][0], shapes["test_images"][0]


def named_inputs(path: Path) -> Names | None:
    """Return the inputs in an .npz file that does not contain images; None for other files.

    They are called train_NAME and test_NAME, or x_train and x_test. A single input holds images if it is called
    `images`, or if it is called `x` and has three or four axes.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = npz.Members(archive)
            names = _names(members.names)
            if set(names) == {"images"}:
                return None
            if set(names) == {"x"} and len(members.header("x_train")[0]) in (3, 4):
                return None
    except DAMAGED:
        return None  # the reader of images, which is called next, says what is wrong with it
    return names or None


def check_arrays(path: Path, names: Names) -> tuple[int, int]:
    """Return the number of training and of test samples, from the headers alone.

    Raises:
        InputError: an array is too large, holds something other than numbers, or does not fit the others.
    """
    with npz.open_members(path) as members:
        train, test = (_checked_length(members, names, split, path) for split in ("train", "test"))
    return train, test


def read_arrays(path: Path, names: Names, name: str) -> Dataset:
    """Return the data set in an .npz file.

    Raises:
        InputError: an array holds something other than numbers, or does not fit the others.
    """
    check_arrays(path, names)
    splits = []
    with npz.open_members(path) as members:
        for place, split in enumerate(("train", "test")):
            labels = members.read(_label_name(members, split, path))
            arrays = {key: members.read(pair[place]) for key, pair in names.items()}
            # A single array of one of these names is for a network with one input, whatever the name of its input.
            is_single = set(arrays) <= {"inputs", "x"} and len(arrays) == 1
            splits.append(split_of(next(iter(arrays.values())) if is_single else arrays, labels, split))
        train, test = splits
        known, tested = (map(str, np.unique(split.labels)) for split in splits)
        check_classes(known, tested, path, layout=LAYOUT, splits=("train_labels", "test_labels"))
        classes = npz.class_names(members, 1 + int(max(train.labels.max(), test.labels.max())))
    return dataset_of(name, train, test, classes)


def split_of(inputs: Array | Mapping[str, Array], labels: Array, name: str) -> Split:
    """Return a split of one array, or of several by name.

    Args:
        labels: class indices, whole numbers of any type, [n] or [n, 1].
        name:   of the split, for messages.

    Raises:
        InputError: inputs or labels are not numbers of one length.
    """
    indices = class_indices(labels, f"{name} labels")
    arrays = inputs if isinstance(inputs, Mapping) else {"inputs": inputs}
    held = {key: checked_array(f"{name} {key}", np.asarray(array)) for key, array in arrays.items()}
    _one_length({"labels": indices.shape, **{key: array.shape for key, array in held.items()}})
    images: Any = Inputs(held) if isinstance(inputs, Mapping) else held["inputs"]
    return Split(images, indices)


def dataset_of(name: str, train: Split, test: Split, class_names: tuple[str, ...]) -> Dataset:
    """Return the data set of two splits in stored order, with the mean and deviation for standardisation.

    Raises:
        InputError: training and test samples are not of one shape, or of one kind.
    """
    shapes = [_sample_shape(split) for split in (train, test)]
    if shapes[0] != shapes[1]:
        raise InputError("training and test inputs must have the same shape", received=f"{shapes[0]} and {shapes[1]}")
    _check_kinds(_arrays_of(train), _arrays_of(test))
    mean, std = _statistics(train.images) if is_scalable(train.images) else ((), ())
    return Dataset(name, train, test, class_names, mean, std, True, _fingerprint(train, test))


def _arrays_of(split: Split) -> Mapping[str, Array]:
    images: Any = split.images
    return images.arrays if isinstance(images, Inputs) else {"": images}


def _check_kinds(train: Mapping[str, Array], test: Mapping[str, Array]) -> None:
    """Raise InputError if numbers of one split are indices in the other: only one of them would be scaled."""
    for name, array in train.items():
        other = test[name]
        if is_scalable(array) != is_scalable(other):
            raise InputError(
                f"training and test {name or 'inputs'} must be of the same kind, indices or numbers to scale",
                received=f"{array.dtype} and {other.dtype}",
                advice="Store both as float32, or both as whole numbers.",
            )


def is_image_array(array: NDArray[Any]) -> bool:
    """Return whether an array can be images: [n, height, width, channels] of pixels."""
    return array.ndim == 4 and is_scalable(array)


def _names(members: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    found = {key.removeprefix("train_"): key for key in members if key.startswith("train_")}
    pairs = {name: (key, f"test_{name}") for name, key in found.items() if name != "labels"}
    if {"x_train", "x_test"} <= members.keys():
        pairs["x"] = ("x_train", "x_test")
    return {name: pair for name, pair in pairs.items() if pair[1] in members}


def _label_name(members: npz.Members, split: str, path: Path) -> str:
    name = next((name for name in LABELS[split] if name in members.names), None)
    if name is None:
        raise InputError(f"data.root must have {LABELS[split][0]}", received=f"no such array in {path}")
    return name


def _checked_length(members: npz.Members, names: Names, split: str, path: Path) -> int:
    place = ("train", "test").index(split)
    shapes, held = {}, 0
    for name in (_label_name(members, split, path), *(pair[place] for pair in names.values())):
        shape, dtype = members.header(name)
        held += npz.held_bytes(shape, dtype)
        if dtype.kind not in "iufb" or held > MAX_HELD:
            raise InputError(
                f"{name} must be numbers, and the arrays of a split of at most {MAX_HELD} bytes in memory together",
                received=f"{dtype} {shape}",
            )
        shapes[name] = shape
    return _one_length(shapes)


def _one_length(shapes: Mapping[str, tuple[int, ...]]) -> int:
    lengths = {shape[0] if shape else 0 for shape in shapes.values()}
    if len(lengths) != 1 or lengths == {0}:
        shown = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise InputError("inputs and labels must have the same length, at least 1", received=shown)
    return int(lengths.pop())


def _sample_shape(split: Split) -> Any:
    shape: Any = split.images.shape
    return {key: one[1:] for key, one in shape.items()} if isinstance(shape, dict) else shape[1:]


def _statistics(inputs: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and deviation of each feature (last axis) over all other axes; 1 for a constant feature."""
    flat = inputs.reshape(-1, inputs.shape[-1]) if inputs.ndim > 1 else inputs[:, None]  # [..., C] → [N, C]
    mean, std = flat.mean(0, dtype=np.float64), flat.std(0, dtype=np.float64)  # [C]
    return tuple(mean.tolist()), tuple(np.where(std > 0, std, 1.0).tolist())


def _fingerprint(*splits: Split) -> str:
    digest = hashlib.sha256()
    for split in splits:
        for name, array in (*sorted(_arrays_of(split).items()), ("labels", split.labels)):
            digest.update(f"{name} {array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
