"""Layers whose methods are a `tf.function`, run as if they were none.

A `tf.function` keeps the graph of its first call. Called again at other values of the weights, as every pass that
leaves a model as it is does, it would still read the variables, and the gradient by the given values would be zero; and
what it assigns, or adds to the loss, would stay in its own graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import keras
import tensorflow as tf

from infomcr_cli.models.keras_internals import replaced

_OF_FIT = {"train_function", "test_function", "predict_function"}  # Keras keeps them on a model


@contextmanager
def inlined_functions(model: keras.Model) -> Iterator[None]:
    """Run methods of the model's layers that are a `tf.function` as part of whatever calls them, inside the block.

    Their Python code is converted as `tf.function` converts it, so that `if` and `for` may still depend on tensors.
    """
    with ExitStack() as stack:
        for layer in model._flatten_layers():
            for name in _compiled_methods(layer):
                stack.enter_context(replaced(layer, name, _converted(getattr(layer, name).python_function)))
        yield


def _converted(method: Callable[..., Any]) -> Callable[..., Any]:
    try:
        return tf.autograph.to_graph(method)
    except Exception:  # its source cannot be read: `tf.function` runs such a function as it is
        return method


def _compiled_methods(layer: keras.Layer) -> list[str]:
    attributes: dict[str, Any] = {}
    for holder in (*reversed(type(layer).__mro__), layer):
        attributes |= vars(holder)
    compiled = tf.types.experimental.PolymorphicFunction
    return [name for name, value in attributes.items() if isinstance(value, compiled) and name not in _OF_FIT]
