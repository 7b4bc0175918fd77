"""Rescale layers of a network in ways that leave its function as it is.

Two kinds of places, each with a factor c > 0:

- a linear layer that a batch norm follows: its kernel and bias times c, the norm's moving mean times c and its moving
  variance such that variance + ε grows by c²;
- a layer and the linear layer that reads it through positively homogeneous operations (rectifiers, pooling, reshaping):
  kernel and bias of the first, or scale and offset of a batch norm, times c, the kernel of the second divided by c.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from infomcr_cli.errors import InputError
from infomcr_cli.measures.batch_norm_folding import LINEAR, BatchNorm, folded_norms, is_identity
from infomcr_cli.measures.layer_graph import Call, LayerGraph, is_of_keras, layer_graph
from infomcr_cli.models.keras_internals import all_layers

L = keras.layers
HOMOGENEOUS_LAYERS: tuple[type, ...] = (  # f(c x) = c f(x) for c > 0
    L.Flatten,
    L.Reshape,
    L.Permute,
    L.MaxPooling1D,
    L.MaxPooling2D,
    L.MaxPooling3D,
    L.AveragePooling1D,
    L.AveragePooling2D,
    L.AveragePooling3D,
    L.GlobalMaxPooling1D,
    L.GlobalMaxPooling2D,
    L.GlobalMaxPooling3D,
    L.GlobalAveragePooling1D,
    L.GlobalAveragePooling2D,
    L.GlobalAveragePooling3D,
    L.ZeroPadding1D,
    L.ZeroPadding2D,
    L.ZeroPadding3D,
)
RECTIFIERS = (keras.activations.linear, keras.activations.relu, keras.activations.leaky_relu)


@dataclass(frozen=True)
class RescalablePlace:
    """Where a network can be rescaled.

    Args:
        name:  of the layers.
        apply: multiplies by a factor.
    """

    name: str
    apply: Callable[[float], None]


def rescalable_places(model: keras.Model) -> list[RescalablePlace]:
    """Return every place of a network that is a graph of layers; none if there is no such place.

    Raises:
        InputError: the network is not a graph of layers.
    """
    graph, layers = layer_graph(model), all_layers(model)
    found = []
    for norm_id, link in folded_norms(model, [layer for layer in layers if isinstance(layer, BatchNorm)]).items():
        norm = next(layer for layer in layers if id(layer) == norm_id)
        if isinstance(link.source, LINEAR) and link.over_channels and is_of_keras(link.source):
            found.append(_before_norm(link.source, norm))
    for call in graph.calls:
        second = _reader(graph, call)
        if second is not None and _scales(call) and id(call.operation) != id(second):
            found.append(_homogeneous(call.operation, second))
    return found


def rescale(places: Sequence[RescalablePlace], *, largest: float, rng: np.random.Generator) -> None:
    """Multiply every place by a random factor, ln c even over ±ln `largest`.

    Raises:
        InputError: there is no place.
    """
    if not places:
        raise InputError("the network has no layers that can be rescaled without changing its function")
    for place in places:
        place.apply(float(largest ** rng.uniform(-1, 1)))


def _before_norm(linear: Any, norm: Any) -> RescalablePlace:
    def apply(factor: float) -> None:
        variance = factor**2 * (np.asarray(norm.moving_variance, np.float64) + norm.epsilon) - norm.epsilon
        if (variance < 0).any():  # ε is most of the sum: a smaller factor cannot be made up for
            return
        _multiply(linear, factor)
        norm.moving_mean.assign(factor * np.asarray(norm.moving_mean, np.float64))
        norm.moving_variance.assign(variance)

    return RescalablePlace(f"{linear.name}, {norm.name}", apply)


def _homogeneous(first: Any, second: Any) -> RescalablePlace:
    def apply(factor: float) -> None:
        _multiply(first, factor)
        second.kernel.assign(np.asarray(second.kernel, np.float64) / factor)

    return RescalablePlace(f"{first.name}, {second.name}", apply)


def _multiply(layer: Any, factor: float) -> None:
    names = ("gamma", "beta") if isinstance(layer, BatchNorm) else ("kernel", "bias")
    for variable in (getattr(layer, name, None) for name in names):
        if variable is not None:
            variable.assign(factor * np.asarray(variable, np.float64))


def _scales(call: Call) -> bool:
    """Return whether the output of a call is multiplied by c if its layer's weights are."""
    layer = call.operation
    if not is_of_keras(layer):
        return False
    if isinstance(layer, BatchNorm):
        return bool(layer.scale)
    return isinstance(layer, LINEAR) and layer.activation in RECTIFIERS


def _reader(graph: LayerGraph, call: Call) -> Any:
    """Return the linear layer that alone reads a call through homogeneous operations; None if there is none."""
    while len(graph.calls_of(call.operation)) == 1 and len(call.outputs) == 1 and graph.readers(call.outputs[0]) == 1:
        following = next((other for other in graph.calls if call.outputs[0] in other.inputs), None)
        if following is None or len(following.inputs) != 1:
            return None
        layer = following.operation
        if isinstance(layer, LINEAR):
            alone = len(graph.calls_of(layer)) == 1 and is_of_keras(layer)
            return layer if alone else None
        if not _is_homogeneous(layer):
            return None
        call = following
    return None


def _is_homogeneous(operation: Any) -> bool:
    if is_identity(operation):
        return True
    if not isinstance(operation, keras.Layer) or not is_of_keras(operation):
        return False
    if isinstance(operation, L.ReLU):
        return operation.max_value is None and not operation.threshold
    if isinstance(operation, L.Activation):
        return operation.activation in RECTIFIERS
    return isinstance(operation, (L.LeakyReLU, *HOMOGENEOUS_LAYERS))
