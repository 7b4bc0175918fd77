"""Check that a user's function returned a network that can be trained and measured."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from infomcr_cli.errors import InputError
from infomcr_cli.models import grouped_convolution as _compiled_once  # noqa: F401 -- for every convolution
from infomcr_cli.models.logits import LOGITS_RULE, check_logits
from infomcr_cli.models.user_code import user_code

FEW = 3  # images: an odd number that nobody uses as batch size


def check_network(model: Any, input_shape: Any, num_classes: int, path: str) -> None:
    """Check that an object is a Keras model, functional, Sequential or subclassed, that maps images to logits.

    The check builds a model that is not built yet. Weights, seeds and statistics stay as they are.

    Args:
        input_shape: of an image, or of each input by its name.
        path:        the function that returned it, for the message.

    Raises:
        InputError: the object breaks a rule, which the message names.
    """
    returned = f"model.builder={path} must return"
    if not isinstance(model, keras.Model):
        if inspect.iscoroutine(model):
            model.close()  # Python would warn that nobody awaited it
        kind = f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__
        raise InputError(f"{returned} a keras.Model", received=kind, advice=_advice_for(model))
    if not isinstance(input_shape, Mapping):
        _check_inputs(model, returned)
    shape_rule = f"{returned} a keras.Model of output shape {(None, num_classes)}, one vector of logits for each image"
    known = getattr(model, "output_shape", None)  # None if only a call shows it, as for a subclassed model
    if known is not None:
        _check_shape(known, None, num_classes, shape_rule)
    images = normal_samples(input_shape, FEW)  # [FEW, ...], or such an array for each input
    with user_code(f"{returned} a network that takes images of shape {input_shape}{_other_input(model, input_shape)}"):
        outputs = model(images, training=False)
    _check_shape(keras.tree.map_structure(lambda x: tuple(np.shape(x)), outputs), FEW, num_classes, shape_rule)
    _check_values(outputs, returned)
    if not model.trainable_variables:
        raise InputError(f"{returned} a network with trainable weights", received=type(model).__name__)
    with user_code(f"{returned} a network that TensorFlow can compile to a graph"):
        _check_logits(model, images, returned)


def normal_samples(input_shape: Any, count: int) -> Any:
    """Return standard normal samples [count, ...] of one shape, or of each input's shape by name; always the same."""
    if isinstance(input_shape, Mapping):
        return {name: normal_samples(shape, count) for name, shape in input_shape.items()}
    return np.random.default_rng(0).standard_normal((count, *input_shape)).astype(np.float32)


def _check_inputs(model: keras.Model, returned: str) -> None:
    inputs = getattr(model, "inputs", None) or []
    if len(inputs) > 1:
        names = ", ".join(x.name for x in inputs)
        raise InputError(f"{returned} a network with one input, the images", received=f"{len(inputs)} inputs: {names}")


def _other_input(model: keras.Model, input_shape: Any) -> str:
    known = getattr(model, "input_shape", None)
    if not isinstance(known, tuple) or isinstance(input_shape, Mapping) or known == (None, *input_shape):
        return ""
    return f", not {known[1:]}"


def _check_shape(shape: Any, images: int | None, num_classes: int, rule: str) -> None:
    """Compare the shape of an output, or a structure of shapes, with [images, num_classes]; None: any number."""
    if not isinstance(shape, tuple) or any(isinstance(part, tuple) for part in shape):
        one = "Return the logits alone: keras.Model(image, logits), neither a list nor a dict, and no second output."
        raise InputError(rule, received=f"several outputs, or one in a structure: {shape}", advice=one)
    if shape == (images, num_classes):
        return
    received = (None, *shape[1:]) if shape[:1] == (images,) else shape
    raise InputError(rule, received=received, advice=_other_shape(shape, images, num_classes))


def _other_shape(shape: tuple[int | None, ...], images: int | None, num_classes: int) -> str:
    if shape[:1] != (images,):
        return "It must take any number of images and give a row for each: keras.Input(shape), not batch_shape."
    if len(shape) == 2:
        return f"The data has {num_classes} classes: let num_classes be the units of the last layer."
    return "Take away the other axes before the last layer: Flatten or GlobalAveragePooling2D."


def _check_values(outputs: tf.Tensor, returned: str) -> None:
    if not keras.backend.is_float_dtype(keras.backend.standardize_dtype(outputs.dtype)):
        raise InputError(f"{returned} a network that outputs logits", received=f"{outputs.dtype} values")
    if not np.isfinite(np.asarray(tf.cast(outputs, tf.float32))).all():
        raise InputError(
            f"{returned} a network whose logits are finite at its initial weights",
            received="NaN or infinite values for standard normal images",
            advice="Its initializers, or a division or logarithm in it, may be the cause.",
        )


def _check_logits(model: keras.Model, images: Any, returned: str) -> None:
    try:
        check_logits(model, images)
    except InputError as error:
        raise InputError(
            f"{returned} a network that outputs {LOGITS_RULE}", received=error.received, advice=error.advice
        ) from None


def _advice_for(thing: Any) -> str | None:
    if thing is None:
        return "Does the function end without return?"
    if isinstance(thing, type):
        return "Return an instance of it."
    if isinstance(thing, keras.Layer):
        return "Put it into a model: keras.Sequential([keras.Input(input_shape), layer])."
    return "That is one of Keras 3, functional, Sequential or subclassed: import keras."
