"""Path norm: the sum over all paths from a pixel to a logit of the squared product of the weights on it."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from infomcr_cli.errors import InputError
from infomcr_cli.measures.folding import CONVOLUTIONS, scale
from infomcr_cli.measures.forward import all_layers, float_weights, measurement_scope

_LINEAR = (*CONVOLUTIONS, keras.layers.Dense)
_POSITIVE = (  # what a non-negative input passes as the source's network does
    keras.layers.InputLayer,
    keras.layers.ReLU,
    keras.layers.Activation,
    keras.layers.BatchNormalization,
    keras.layers.Add,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.AveragePooling2D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.MaxPooling2D,
    keras.layers.Flatten,
    keras.layers.Dropout,
    keras.layers.Reshape,
    keras.layers.ZeroPadding2D,
)


def log_path_norm(model: keras.Model) -> float:
    """Return ½ ln Σ_k f(1)_k, f the network with every weight squared and every input 1, batch norm folded.

    Batch norm acts as its affine map in inference mode, x -> s x + b; s and b are squared. Pooling stays as it is.

    Raises:  InputError: the network is no graph of layers on one input of a fixed size, or a layer or an activation is
                         not one for which the sum over paths is this value.
    Source:  Neyshabur et al., 2015, arXiv:1503.00036; Jiang et al., 2020, arXiv:1912.02178.
    """
    shape = _checked_input_shape(model)
    squares = _squared_weights(model)
    mapping = [(v, tf.constant(squares.get(id(v), np.asarray(v)), tf.float64)) for v in float_weights(model)]
    with measurement_scope(model, mapping, "float64", "inference"):
        logits = model(tf.ones([2, *shape], tf.float64), training=False)
    return 0.5 * float(np.log(np.sum(np.asarray(logits)[0])))


def _squared_weights(model: keras.Model) -> dict[int, Any]:
    squares: dict[int, Any] = {}
    for layer in all_layers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            squares |= _squared_norm(layer)
        elif isinstance(layer, _LINEAR):
            squares |= {id(v): np.asarray(v, np.float64) ** 2 for v in layer.weights}
    return squares


def _squared_norm(norm: keras.layers.BatchNormalization) -> dict[int, Any]:
    """Values under which the layer maps x to s² x + b², where it mapped x to s x + b."""
    mean = np.asarray(norm.moving_mean, np.float64)
    variance = np.asarray(norm.moving_variance, np.float64)
    squares = {id(norm.moving_variance): (variance + norm.epsilon) ** 2 - norm.epsilon}
    if norm.scale:
        squares[id(norm.gamma)] = np.asarray(norm.gamma, np.float64) ** 2
    if norm.center:
        offset = np.asarray(norm.beta, np.float64) - mean * scale(norm)
        squares |= {id(norm.beta): offset**2, id(norm.moving_mean): np.zeros_like(mean)}
    else:
        squares[id(norm.moving_mean)] = -(mean**2)
    return squares


def _checked_input_shape(model: keras.Model) -> tuple[int, ...]:
    """Return the shape of an image, once every layer and operation is known to be one that the formula holds for."""
    for layer in all_layers(model):
        (_check_graph if isinstance(layer, keras.Model) else _check_layer)(layer)
    shapes = [tuple(x.shape[1:]) for x in model.inputs]
    if len(shapes) != 1 or None in shapes[0]:
        raise InputError("the path norm needs one input of a fixed size", received=shapes)
    return shapes[0]


def _check_graph(model: keras.Model) -> None:
    """Python code and operations outside of layers, but for the sum of two tensors, may do anything."""
    operations = getattr(getattr(model, "_functional", model), "operations", None)
    if operations is None:
        raise InputError("the path norm needs a network that is a graph of layers", received=model.name)
    for operation in operations:
        is_sum = type(operation).__name__ == "Add" and len(keras.tree.flatten(operation.input)) == 2
        if not isinstance(operation, keras.Layer) and not is_sum:
            raise InputError("the path norm needs a rectified network of known layers", received=operation.name)


def _check_layer(layer: keras.Layer) -> None:
    known = isinstance(layer, (*_LINEAR, *_POSITIVE))
    activation = getattr(layer, "activation", keras.activations.linear)
    if not known or activation not in (keras.activations.linear, keras.activations.relu):
        raise InputError("the path norm needs a rectified network of known layers", received=layer.name)
