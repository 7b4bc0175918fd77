"""Data of the user's own, from a function that the user names: this runs the user's code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from infomcr_cli.config.data_schema import BuilderDataConfig
from infomcr_cli.data.arrays import dataset_of, is_image_array, split_of
from infomcr_cli.data.files import MAX_HELD
from infomcr_cli.data.record import Dataset, Split
from infomcr_cli.data.statistics import whole_dataset
from infomcr_cli.errors import InputError
from infomcr_cli.models.builder import resolve_builder

RETURNS = "(x_train, y_train), (x_test, y_test), or a training and a test tf.data.Dataset of (x, y)"
BLOCK = 1024  # samples that are drawn together from an unbatched tf.data.Dataset


def check_builder(config: BuilderDataConfig) -> None:
    """Raise InputError where the function is not to be had; it is not called."""
    _function(config)


def build_dataset(config: BuilderDataConfig) -> Dataset:
    """Call the user's function and return what it gives as a data set.

    Raises: InputError: it was not named by the user, cannot be called so, or returns something else.
    """
    function = _function(config)
    try:
        parts = function(**config.settings)
    except TypeError as error:
        raise InputError("data.builder must take the settings", received=config.builder, advice=f"{error}.") from error
    if not isinstance(parts, Sequence) or len(parts) != 2:
        raise InputError(f"data.builder must return {RETURNS}", received=type(parts).__name__)
    train, test = (_split(part, name) for part, name in zip(parts, ("training", "test"), strict=True))
    count = 1 + int(max(train.labels.max(), test.labels.max()))
    names = tuple(str(label) for label in range(max(2, count)))
    if all(isinstance(split.images, np.ndarray) and is_image_array(split.images) for split in (train, test)):
        return whole_dataset(config.name, (train, test, names), stored_order=True)
    return dataset_of(config.name, train, test, names)


def _function(config: BuilderDataConfig) -> Any:
    try:
        return resolve_builder(config.builder, trusted=config._is_trusted)
    except InputError as error:  # its rules are those of model.builder
        rule, advice = (text and text.replace("model.builder", "data.builder") for text in (error.rule, error.advice))
        raise InputError(str(rule), received=error.received, advice=advice) from None


def _split(part: Any, name: str) -> Split:
    if hasattr(part, "element_spec"):
        return split_of(*_drawn(part, name), name)
    if not isinstance(part, Sequence) or len(part) != 2:
        raise InputError(f"data.builder must return {RETURNS}", received=f"{type(part).__name__} for {name}")
    return split_of(part[0], part[1], name)


def _drawn(part: Any, name: str) -> tuple[Any, Any]:
    """Return all samples of a tf.data.Dataset, which may be batched or not."""
    if not isinstance(part.element_spec, tuple) or len(part.element_spec) != 2:
        raise InputError(f"data.builder must return {RETURNS}", received=f"elements of {part.element_spec}")
    if int(part.cardinality()) == -1:
        raise InputError(f"the {name} tf.data.Dataset must end", received="an infinite one")
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
        raise InputError(f"the {name} tf.data.Dataset must hold samples", received="none")
    joined = {key: np.concatenate(arrays) for key, arrays in inputs.items()}
    return joined.get("", joined), np.concatenate(labels)
