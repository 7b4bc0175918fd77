"""Check the arguments of the public API: the network, its samples, whole numbers."""

from __future__ import annotations

import operator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from infomcr_cli.api.regularized_model import RegularizedModel
from infomcr_cli.errors import InputError
from infomcr_cli.measures.samples import checked_samples


def network_of(model: Any) -> keras.Model:
    """Return the network to measure: the model itself, or the one inside a `RegularizedModel`.

    Raises:
        InputError: it is not a Keras model, or Keras does not run on TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        advice = "Set the environment variable KERAS_BACKEND=tensorflow before Keras is imported."
        raise InputError("Keras must run on TensorFlow", received=keras.backend.backend(), advice=advice)
    if not isinstance(model, keras.Model):
        received = f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__
        raise InputError("the model must be a keras.Model of Keras 3", received=received)
    return model.network if isinstance(model, RegularizedModel) else model


def samples_of(name: str, pair: Any) -> tuple[Any, NDArray[np.int32]]:
    """Return the images and labels of a pair (x, y) as arrays of the same length.

    Args:
        name: of the argument, for messages.

    Raises:
        InputError: it is not such a pair, or labels are not class indices.
    """
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        received = type(pair).__name__ if not isinstance(pair, tuple | list) else f"{len(pair)} parts"
        raise InputError(f"{name} must be a pair of arrays (x, y)", received=received)
    images, labels = pair
    if isinstance(images, tf.data.Dataset):
        advice = "Collect it: x, y = next(iter(dataset.unbatch().batch(10_000)))."
        raise InputError(f"{name} must contain arrays, not a tf.data.Dataset", advice=advice)
    if any(np.ndim(leaf) == 0 for leaf in keras.tree.flatten(images)):  # lists of numbers, not a list of inputs
        images = np.asarray(images)
        if images.ndim == 0 or images.dtype.kind not in "biuf":
            raise InputError(f"{name} must contain arrays", received=f"{images.dtype} {images.shape}")
    return checked_samples(images, labels)


def whole_number(name: str, value: Any, *, least: int) -> int:
    """Return a whole number of at least `least`.

    Raises:
        InputError: it is not a whole number, or is smaller.
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise InputError(f"{name} must be a whole number", received=value) from None
    if number < least:
        raise InputError(f"{name} must be at least {least}", received=value)
    return number
