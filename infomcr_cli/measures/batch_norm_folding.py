"""The linear maps of a network, with batch norm folded into the convolution or dense layer before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from infomcr_cli.errors import InputError
from infomcr_cli.measures.layer_graph import Call, LayerGraph, is_of_keras, layer_graph
from infomcr_cli.measures.stateless import is_floating
from infomcr_cli.models.keras_internals import all_layers, own_variables

Array = NDArray[np.float64]
CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
LINEAR = (*CONVOLUTIONS, keras.layers.Dense)
BatchNorm = keras.layers.BatchNormalization

_AUGMENTATIONS = [name for name in sorted(dir(keras.layers)) if name.startswith(("Rand", "AugMix", "CutMix", "MixUp"))]
IDENTITIES: tuple[type, ...] = (  # what returns its input at inference and has at most a random state
    keras.layers.Identity,
    keras.layers.ActivityRegularization,
    keras.layers.Dropout,
    keras.layers.AlphaDropout,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    *(getattr(keras.layers, name) for name in _AUGMENTATIONS if name != "RandomCrop"),  # which crops at inference too
)


@dataclass(frozen=True)
class LinearMap:
    """One linear map.

    Args:
        layer:  the convolution, dense layer or, if it cannot be folded, batch norm.
        kernel: its matrix [inputs, outputs], its filters [*window, inputs, outputs], or a batch norm's scale
                [channels], float64. Offsets are left out.
    """

    layer: keras.Layer
    kernel: Array


def linear_maps(model: keras.Model) -> list[LinearMap]:
    """Return the linear maps of a network of convolutions, dense layers and batch norms, in the order of its layers.

    In inference mode batch norm multiplies channel c by s_c = γ_c / √(variance_c + ε). Behind a convolution, dense
    layer or batch norm of which it is the only reader, and over the same channels, it scales that map's outputs; any
    other (behind a sum, or over another axis) is a separate diagonal map. Layers that only add noise in training are
    skipped.

    Raises:
        InputError: another layer has weights, or the network is not a graph of layers.
    """
    layers = [layer for layer in all_layers(model) if _has_own_weights(layer)]
    for layer in layers:
        if not isinstance(layer, (*LINEAR, BatchNorm)) or not is_of_keras(layer):
            raise InputError("norms support only convolutions, dense layers and batch norm", received=layer.name)
    before = folded_norms(model, layers)
    owners = {id(layer): layer for layer in layers}
    kernels = {
        id(layer): scale(layer) if isinstance(layer, BatchNorm) else np.asarray(layer.kernel, np.float64)
        for layer in layers
    }
    for norm in [layer for layer in layers if id(layer) in before and before[id(layer)].over_channels]:
        owner = norm
        while (link := before.get(id(owner))) is not None and link.over_channels:
            owner = link.source
        kernels[id(owner)] = kernels[id(owner)] * scale(norm)  # [channels], over the last axis: the outputs
        del owners[id(norm)]
    return [LinearMap(layer, kernels[id(layer)]) for layer in owners.values()]


@dataclass(frozen=True)
class Link:
    """The map before a batch norm that is the only reader of its output.

    Args:
        source:        a linear layer without activation, or another batch norm.
        over_channels: the norm's axis is that of the source: of a linear layer's outputs, of the other norm's scale.
    """

    source: Any
    over_channels: bool


def folded_norms(model: keras.Model, layers: list[Any]) -> dict[int, Link]:
    """Return the link of each batch norm that is the only reader of the output of one linear map, by its identity.

    Raises:
        InputError: there is a batch norm, and the network is not a graph of layers.
    """
    norms = [layer for layer in layers if isinstance(layer, BatchNorm)]
    if not norms:
        return {}
    graph = layer_graph(model)
    links: dict[int, Link] = {}
    for norm in norms:
        if not graph.calls_of(norm):
            raise InputError("norms need a network that is a graph of layers", received=norm.name)
        source = _only_source(graph, norm)
        if source is not None:
            rank = len(source.outputs[0].shape)
            over_channels = channel_axis(source.operation, rank) == channel_axis(norm, rank)
            links[id(norm)] = Link(source.operation, over_channels)
    return links


def scale(norm: keras.layers.BatchNormalization) -> Array:
    """Return γ / √(variance + ε) of a batch norm in inference mode, [channels], float64."""
    gamma = np.asarray(norm.gamma, np.float64) if norm.scale else 1.0
    return gamma / np.sqrt(np.asarray(norm.moving_variance, np.float64) + norm.epsilon)


def channel_axis(layer: keras.Layer, rank: int) -> int:
    """Return the axis of a linear layer's or batch norm's channels in an output of `rank` axes, the batch included."""
    if isinstance(layer, BatchNorm):
        return int(layer.axis) % rank
    return 1 if getattr(layer, "data_format", None) == "channels_first" else rank - 1


def is_identity(operation: Any) -> bool:
    """Return whether an operation returns its input at inference."""
    if type(operation) is keras.layers.Activation:
        return operation.activation is keras.activations.linear
    return isinstance(operation, IDENTITIES) and is_of_keras(operation)


def _has_own_weights(layer: keras.Layer) -> bool:
    """Return whether a layer has floating-point weights; of a model those count that are not its layers'."""
    weights = own_variables(layer) if isinstance(layer, keras.Model) else layer.weights
    return any(map(is_floating, weights))


def _only_source(graph: LayerGraph, norm: keras.layers.BatchNormalization) -> Call | None:
    """Return the only call of a linear map whose output only this batch norm reads; identities are skipped."""
    calls = graph.calls_of(norm)
    source: Call | None = calls[0] if len(calls) == 1 else None
    while source is not None:
        edge = source.inputs[0]
        source = graph.producer(edge) if graph.readers(edge) == 1 else None
        if source is not None and not is_identity(source.operation):
            break
    if source is None or len(graph.calls_of(source.operation)) != 1:
        return None
    layer = source.operation
    plain = isinstance(layer, LINEAR) and layer.activation is keras.activations.linear
    return source if plain or isinstance(layer, BatchNorm) else None
