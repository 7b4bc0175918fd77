"""Checks that `fit` of a `RegularizedModel` makes before the first step."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from infomcr_cli.errors import InputError
from infomcr_cli.training.gradients import checked_labels
from infomcr_cli.training.regularizers.base import Regularizer

BATCH_SIZE = 32  # of Keras, if none is given
_log = logging.getLogger("infomcr.training")


def check_fit(network: keras.Model, regularizer: Regularizer | None, given: Mapping[str, Any]) -> None:
    """Check the data of `fit`, as far as possible before training.

    Args:
        given: all arguments of `keras.Model.fit` by name.

    Raises:
        InputError: samples or classes have weights, labels are not classes of the network, or a batch cannot be split
            into the regularizer's sub-batches.
    """
    for name in ("sample_weight", "class_weight"):
        refuse_weights(given[name], name)
    if isinstance(given["y"], np.ndarray) and len(given["y"]):
        checked_labels(network, given["y"])
    if regularizer is None or not getattr(regularizer, "is_active", True):
        return
    _warn_of_tf32()
    parts = getattr(regularizer, "num_sub_batches", 1)
    if parts == 1:
        return
    for size in _batch_sizes(given):
        if size % parts:
            advice = "Drop the incomplete last batch: x[:n], or a tf.data.Dataset with drop_remainder=True."
            received = f"num_sub_batches={parts}, a batch of {size} samples"
            raise InputError("num_sub_batches must divide every batch", received=received, advice=advice)


def _warn_of_tf32() -> None:
    """Warn if TF32 on a GPU may round differences of nearly equal gradients; turning it off is left to the user."""
    if tf.config.list_physical_devices("GPU") and tf.config.experimental.tensor_float_32_execution_enabled():
        _log.warning(
            "TF32 rounds float32 to ten bits on recent NVIDIA GPUs, which can spoil a regularizer's gradient. "
            "Turn it off: tf.config.experimental.enable_tensor_float_32_execution(False)"
        )


def refuse_weights(weights: Any, name: str = "sample_weight") -> None:
    """Raise InputError if samples have weights."""
    if weights is not None:
        rule = "a RegularizedModel weights all samples equally"
        raise InputError(rule, received=name, advice="Remove the weights, or repeat samples in the data.")


def _batch_sizes(given: Mapping[str, Any]) -> list[int]:
    """Return the sizes of a full batch and of the last one, as far as they are known."""
    x = given["x"]
    if isinstance(x, tf.data.Dataset):
        shapes = [spec.shape for spec in tf.nest.flatten(x.element_spec)]
        return [int(shape[0]) for shape in shapes[:1] if shape.rank and shape[0] is not None]
    leaves = [] if x is None else keras.tree.flatten(x)
    shape = tuple(getattr(leaves[0], "shape", ())) if leaves else ()
    if not shape or given["steps_per_epoch"] is not None:
        return []
    count, size = int(shape[0]), given["batch_size"] or BATCH_SIZE
    if given["validation_split"] and given["validation_data"] is None:
        count = int(np.floor(count * (1 - given["validation_split"])))  # rounded down, as Keras does
    return [part for part in (min(size, count), count % size) if part]
