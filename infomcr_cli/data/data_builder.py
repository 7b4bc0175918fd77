"""Load data with the function that data.builder names; this runs the user's code."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from infomcr_cli.config.schema.data import BuilderDataConfig
from infomcr_cli.data.arrays import dataset_of, is_image_array, split_of
from infomcr_cli.data.dataset import Dataset, Split, whole_dataset
from infomcr_cli.data.files import MAX_HELD
from infomcr_cli.data.labels import check_classes
from infomcr_cli.errors import InputError
from infomcr_cli.models.custom import check_trusted, resolve_builder
from infomcr_cli.models.user_code import user_code

SETTING = "data.builder"
RETURNS = "(x_train, y_train), (x_test, y_test), or a training and a test tf.data.Dataset of (x, y)"
BLOCK = 1024  # samples that are drawn together from an unbatched tf.data.Dataset


def check_builder(config: BuilderDataConfig) -> None:
    """Raise InputError if the user did not name the function, or not in the right form. Imports nothing."""
    check_trusted(config.builder, trusted=config._is_trusted, setting=SETTING)


def build_dataset(config: BuilderDataConfig) -> Dataset:
    """Call the user's function and return the data set that it returns.

    Arrays [n, height, width, channels] of uint8 or floats are images, with the same rules as those of a file.

    Raises:
        InputError: the function was not named by the user or raises an error, or it returns something else.
    """
    function = resolve_builder(config.builder, trusted=config._is_trusted, setting=SETTING)
    try:
        inspect.signature(function).bind(**config.settings)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{SETTING} must accept the given data.settings", received=config.builder, advice=f"{error}."
        ) from None
    with user_code(f"{SETTING}={config.builder} must return data without an error"):
        parts = function(**config.settings)
        if not isinstance(parts, Sequence) or len(parts) != 2:
            raise InputError(f"{SETTING} must return {RETURNS}", received=type(parts).__name__)
        train, test = (_split(part, name) for part, name in zip(parts, ("training", "test"), strict=True))
    known, tested = (map(str, np.unique(split.labels)) for split in (train, test))
    check_classes(known, tested, config.builder, layout=RETURNS, splits=("the training labels", "the test labels"))
    names = tuple(str(label) for label in range(1 + int(train.labels.max())))
    if not all(isinstance(split.images, np.ndarray) and is_image_array(split.images) for split in (train, test)):
        return dataset_of(config.name, train, test, names)
    shapes = [split.images.shape[1:] for split in (train, test)]
    if shapes[0] != shapes[1]:
        raise InputError("training and test images must have the same shape", received=f"{shapes[0]} and {shapes[1]}")
    return whole_dataset(config.name, (train, test, names), stored_order=True)


def _split(part: Any, name: str) -> Split:
    if hasattr(part, "element_spec"):
        return split_of(*_drawn(part, name), name)
    if not isinstance(part, Sequence) or len(part) != 2:
        raise InputError(f"{SETTING} must return {RETURNS}", received=f"{type(part).__name__} for {name}")
    return split_of(part[0], part[1], name)


def _drawn(part: Any, name: str) -> tuple[Any, Any]:
    """Return all samples of a tf.data.Dataset, batched or not."""
    if not isinstance(part.element_spec, tuple) or len(part.element_spec) != 2:
        raise InputError(f"{SETTING} must return {RETURNS}", received=f"elements of {part.element_spec}")
    if int(part.cardinality()) == -1:
        raise InputError(f"the {name} tf.data.Dataset must be finite", received="an infinite one")
    # The labels of an unbatched data set are scalars. One call for each sample would be slow.
    batches = part if len(part.element_spec[1].shape) else part.batch(BLOCK)
    inputs: dict[str, list[Any]] = {}
    labels, held = [], 0
    for x, y in batches.as_numpy_iterator():
        arrays = x if isinstance(x, Mapping) else {"": x}
        held += sum(array.nbytes for array in arrays.values())
        if held > MAX_HELD:
            raise InputError(f"the {name} data must have at most {MAX_HELD} bytes", received=f"{held} bytes and more")
        for key, array in arrays.items():
            inputs.setdefault(key, []).append(array)
        labels.append(y)
    if not labels:
        raise InputError(f"the {name} tf.data.Dataset must contain samples", received="none")
    joined = {key: np.concatenate(arrays) for key, arrays in inputs.items()}
    return joined.get("", joined), np.concatenate(labels)  # "" is the name of a single input
