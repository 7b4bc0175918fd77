"""The linear maps of a network, batch norm folded into the convolution or dense layer whose output it alone takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from infomcr_cli.errors import InputError
from infomcr_cli.measures.forward import all_layers

Array = NDArray[np.float64]
CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)


@dataclass(frozen=True)
class LinearMap:
    """One linear map.

    Args:
        layer:  the convolution, dense layer or, where it stands alone, batch norm.
        kernel: its matrix [inputs, outputs], its filters [*window, inputs, outputs], or a batch norm's scale
                [channels], float64. Offsets are left out.
    """

    layer: keras.Layer
    kernel: Array


def linear_maps(model: keras.Model) -> list[LinearMap]:
    """Return the linear maps of a network of convolutions, dense layers and batch norms, in the order of its layers.

    In inference mode batch norm multiplies channel c by s_c = γ_c / √(variance_c + ε). Behind a convolution of which
    it is the only reader it scales the filters; any other (behind a sum, say) is a diagonal map of its own.

    Raises: InputError: another layer holds weights, or the network is no graph of layers.
    """
    layers = [layer for layer in all_layers(model) if layer.variables and not isinstance(layer, keras.Model)]
    for layer in layers:
        if not isinstance(layer, (*CONVOLUTIONS, keras.layers.Dense, keras.layers.BatchNormalization)):
            raise InputError("norms need a network of convolutions, dense layers and batch norms", received=layer.name)
    norms = [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]
    folded = {id(owner): norm for norm in norms if (owner := _only_source(norm)) is not None}
    alone = [norm for norm in norms if not any(norm is other for other in folded.values())]
    maps = []
    for layer in layers:
        if any(layer is norm for norm in alone):
            maps.append(LinearMap(layer, scale(layer)))
        elif not isinstance(layer, keras.layers.BatchNormalization):
            factor = scale(folded[id(layer)]) if id(layer) in folded else 1.0
            maps.append(LinearMap(layer, np.asarray(layer.kernel, np.float64) * factor))
    return maps


def scale(norm: keras.layers.BatchNormalization) -> Array:
    """Return γ / √(variance + ε) of a batch norm in inference mode, [channels], float64."""
    gamma = np.asarray(norm.gamma, np.float64) if norm.scale else 1.0
    return gamma / np.sqrt(np.asarray(norm.moving_variance, np.float64) + norm.epsilon)


def _only_source(norm: keras.layers.BatchNormalization) -> Any:
    """The linear layer without activation that this batch norm alone reads, or None."""
    try:
        source = norm.input._keras_history.operation
    except (AttributeError, ValueError):
        raise InputError("norms need a network that is a graph of layers", received=norm.name) from None
    linear = isinstance(source, (*CONVOLUTIONS, keras.layers.Dense)) and source.activation is keras.activations.linear
    return source if linear and len(source._outbound_nodes) == 1 and len(source._inbound_nodes) == 1 else None
