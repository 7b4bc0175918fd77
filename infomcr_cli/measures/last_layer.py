"""The last layer of a network on fixed samples: its kernel, what it is given and the logits that it returns."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from infomcr_cli.errors import InputError
from infomcr_cli.measures.loss_surface import LossSurface
from infomcr_cli.models.keras_internals import all_layers, replaced

Array = NDArray[np.float64]
DenseCall = tuple[keras.layers.Dense, Any, Any]  # layer, input, output


def last_layer(surface: LossSurface) -> tuple[Array, Array, Array]:
    """Return kernel [F, C], features [N, F] and logits [N, C] of the dense layer that gives the logits, float64.

    Raises:
        InputError: the logits are not the output of a Dense layer.
    """
    kernels, features, logits = zip(*surface.map_images(_last_layer), strict=True)
    return kernels[0], np.concatenate(features), np.concatenate(logits)


def _last_layer(model: keras.Model, images: Any) -> list[tf.Tensor]:
    """Return kernel [F, C], features [n, F] and logits [n, C] of the layer that gives the logits, float64."""
    logits, by_output = _dense_calls(model, images)
    if id(logits) not in by_output:
        raise InputError("relative flatness needs a dense layer that gives the logits", received=model.name)
    layer, features, _ = by_output[id(logits)]
    return [tf.cast(tensor, tf.float64) for tensor in (tf.convert_to_tensor(layer.kernel), features, logits)]


def _dense_calls(model: keras.Model, images: Any) -> tuple[Any, dict[int, DenseCall]]:
    """Return the model's output, and each call of a linear dense layer by the id of its output."""
    calls: dict[int, DenseCall] = {}

    def recorded(layer: keras.layers.Dense) -> Any:
        call = layer.call

        def call_and_record(inputs: Any, **kwargs: Any) -> Any:
            output = call(inputs, **kwargs)
            # With the output itself: the identity of an object that is freed may be used again.
            calls[id(output)] = layer, inputs, output
            return output

        return call_and_record

    with ExitStack() as stack:
        for layer in all_layers(model):
            if isinstance(layer, keras.layers.Dense) and layer.activation is keras.activations.linear:
                stack.enter_context(replaced(layer, "call", recorded(layer)))
        return model(images, training=False), calls
