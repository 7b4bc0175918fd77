"""A network with every weight squared, whose outputs are sums over all paths from a pixel to a logit."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from infomcr_cli.errors import InputError
from infomcr_cli.measures.batch_norm_folding import (
    IDENTITIES,
    LINEAR,
    BatchNorm,
    Link,
    channel_axis,
    folded_norms,
    scale,
)
from infomcr_cli.measures.layer_graph import is_of_keras, layer_graph
from infomcr_cli.measures.stateless import float_weights, measurement_scope
from infomcr_cli.models.keras_internals import all_layers, replaced

Array = NDArray[np.float64]
_POSITIVE = (  # layers that map non-negative inputs as in the networks of the source
    keras.layers.InputLayer,
    keras.layers.ReLU,
    keras.layers.LeakyReLU,
    keras.layers.Activation,
    keras.layers.BatchNormalization,
    keras.layers.Add,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.AveragePooling2D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.MaxPooling2D,
    keras.layers.Flatten,
    keras.layers.Reshape,
    keras.layers.ZeroPadding2D,
    *IDENTITIES,
)
_RECTIFIERS = (
    keras.activations.linear,
    keras.activations.relu,
    keras.activations.leaky_relu,
    keras.ops.relu,
    keras.ops.leaky_relu,
    tf.nn.relu,
)


def squared_outputs(model: keras.Model) -> Array:
    """Return f(1; w²): the outputs of the network with every weight squared and every input 1, [C], float64.

    Batch norm acts as its affine map in inference mode, x -> s x + b. Behind a linear map of which it is the only
    reader, b holds the offsets of both, β + s (bias - mean), on whichever axis; s and b are squared. Pooling is
    left as it is. A sum over paths needs units that pass what is positive as it is, and other numbers times a slope in
    [0, 1]: rectifiers, leaky ones too, but none with a maximum or a threshold.

    Raises:
        InputError: the network is not a graph of layers on one input of a fixed size, or a layer or an activation is
                    not one for which the sum over paths is this value.
    """
    shape = _checked_input_shape(model)
    links = folded_norms(model, all_layers(model))
    squares = _squared_weights(model, [link.source for link in links.values()])
    mapping = [(v, tf.constant(squares.get(id(v), np.asarray(v)), tf.float64)) for v in float_weights(model)]
    norms = _squared_norms(model, links)  # from the weights as they are, so before the scope replaces them
    with measurement_scope(model, mapping, "float64", "inference"), ExitStack() as stack:
        for norm, call in norms:
            stack.enter_context(replaced(norm, "call", call))
        logits = model(tf.ones([2, *shape], tf.float64), training=False)
    return np.asarray(logits)[0]


def _squared_weights(model: keras.Model, folded: Sequence[Any]) -> dict[int, Any]:
    """Return the squares of kernels and biases by variable.

    A bias before a batch norm that is folded is 0 here: the norm adds it with its own offset.
    """
    squares: dict[int, Any] = {}
    for layer in all_layers(model):
        if isinstance(layer, LINEAR):
            squares |= {id(v): np.asarray(v, np.float64) ** 2 for v in layer.weights}
            if layer.bias is not None and any(layer is source for source in folded):
                squares[id(layer.bias)] = np.zeros(layer.bias.shape)
    return squares


def _squared_norms(model: keras.Model, links: dict[int, Link]) -> list[tuple[Any, Callable[..., Any]]]:
    """Return each batch norm with a call that maps x to s² x + b², where it mapped x to s x + b.

    Of several in a row the last adds the offset of all.
    """
    inner = [link.source for link in links.values()]
    found = []
    for norm in [layer for layer in all_layers(model) if isinstance(layer, BatchNorm)]:
        rank = norm.input_spec.ndim
        is_last = not any(norm is source for source in inner)
        offset = _offset(norm, links, rank) if is_last else np.zeros(1)
        found.append((norm, _affine(_placed(scale(norm) ** 2, norm, rank), offset**2)))
    return found


def _affine(slope: Array, offset: Array) -> Callable[..., Any]:
    return lambda inputs, **unused: inputs * slope + offset


def _offset(layer: Any, links: dict[int, Link], rank: int) -> Array:
    """Return the offset of a linear layer, or of a batch norm with all maps that it folds into, for broadcasting."""
    if not isinstance(layer, BatchNorm):
        bias = np.zeros(1) if layer.bias is None else np.asarray(layer.bias, np.float64)
        return _placed(bias, layer, rank)
    link = links.get(id(layer))
    before = np.zeros(1) if link is None else _offset(link.source, links, rank)
    mean, slope = (_placed(x, layer, rank) for x in (np.asarray(layer.moving_mean, np.float64), scale(layer)))
    beta = _placed(np.asarray(layer.beta, np.float64), layer, rank) if layer.center else 0.0
    return np.asarray(beta + slope * (before - mean))


def _placed(channels: Array, layer: Any, rank: int) -> Array:
    """Lay a vector along the axis of a layer's channels in an output of `rank` axes."""
    axis = channel_axis(layer, rank)
    return channels.reshape([-1 if i == axis else 1 for i in range(rank)])


def _checked_input_shape(model: keras.Model) -> tuple[int, ...]:
    """Return the shape of an image, once every layer and operation is known to be one that the formula holds for."""
    for layer in all_layers(model):
        if not isinstance(layer, keras.Model):
            _check_layer(layer)
    _check_graph(model)
    shapes = [tuple(x.shape[1:]) for x in model.inputs]
    if len(shapes) != 1 or None in shapes[0]:
        raise InputError("the path norm needs one input of a fixed size", received=shapes)
    return shapes[0]


def _check_graph(model: keras.Model) -> None:
    """Raise if Python code runs the network, or an operation that is neither a layer nor the sum of two tensors."""
    try:
        graph = layer_graph(model)
    except InputError:
        raise InputError("the path norm needs a network that is a graph of layers", received=model.name) from None
    for call in graph.calls:
        is_sum = type(call.operation).__name__ == "Add" and len(call.inputs) == 2
        if isinstance(call.operation, keras.Model) or not (isinstance(call.operation, keras.Layer) or is_sum):
            raise InputError(
                "the path norm supports only networks of known layers with rectifiers", received=call.operation.name
            )


def _check_layer(layer: keras.Layer) -> None:
    if not isinstance(layer, (*LINEAR, *_POSITIVE)) or not is_of_keras(layer):
        raise InputError("the path norm supports only networks of known layers with rectifiers", received=layer.name)
    _check_rectifier(layer)
    if hasattr(layer, "activation"):
        _check_activation(layer)


def _check_activation(layer: keras.Layer) -> None:
    """Raise unless an activation is a rectifier: a function or, with settings of its own, a layer."""
    activation = layer.activation
    if isinstance(activation, (keras.layers.ReLU, keras.layers.LeakyReLU)):
        _check_rectifier(activation)
    elif activation not in _RECTIFIERS:
        received = f"{getattr(activation, '__name__', activation)} in {layer.name}"
        raise InputError("the path norm supports only networks of known layers with rectifiers", received=received)


def _check_rectifier(layer: keras.Layer) -> None:
    """Raise if a rectifier has a maximum or a threshold, or multiplies what is negative by more than 1.

    A unit that saturates or starts late is no sum over paths, and one that amplifies what is negative no bound.
    """
    highest, threshold = getattr(layer, "max_value", None), getattr(layer, "threshold", 0)
    slope = getattr(layer, "negative_slope", 0)
    if highest not in (None, math.inf) or threshold != 0 or not 0 <= slope <= 1:
        raise InputError(
            "the path norm supports only rectifiers without maximum or threshold, with negative slopes in [0, 1]",
            received=f"{layer.name} with max_value={highest}, threshold={threshold}, negative_slope={slope}",
        )
