"""Directions in the space of weights: random ones, normalised filter by filter.

| symbol | meaning | shape |
| --- | --- | --- |
| w | the trainable weights | [W] |
| w_f | one filter: the weights that make one output channel, unit or row of an embedding | |
| d | a direction | [W] |

d_f ← d_f ‖w_f‖ / (‖d_f‖ + 1e-10). Biases and the weights of norms (batch norm's gamma and beta) get d = 0, as in the
code of Li et al. So ‖d‖ is the length of all filters together, and a step of 1 changes every filter by its own length.

Source: Li, Xu, Taylor, Studer & Goldstein, NeurIPS 2018, arXiv:1712.09913.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from infomcr_cli.measures.stateless import trainable_weights
from infomcr_cli.models.keras_internals import all_layers, own_variables

Array = NDArray[np.float64]
Axes = tuple[int, ...]
SMALLEST = 1e-10  # added to the length of a random filter, as Li et al. do

_layers = keras.layers
NORMS = tuple(
    getattr(_layers, name)
    for name in ("BatchNormalization", "LayerNormalization", "GroupNormalization", "RMSNormalization")
    if hasattr(_layers, name)
)
TRANSPOSED = (_layers.Conv1DTranspose, _layers.Conv2DTranspose, _layers.Conv3DTranspose)
DEPTHWISE = (_layers.DepthwiseConv1D, _layers.DepthwiseConv2D)
SEPARABLE = (_layers.SeparableConv1D, _layers.SeparableConv2D)


def normalised_by_filter(direction: Array, weights: Array, axes: Axes | None) -> Array:
    """Return a direction whose filters have the norms of the filters of the weights.

    Args:
        direction: of any length, [...].
        weights:   of the same shape.
        axes:      those that number the filters; None: the weights are not varied.

    Examples:
        >>> normalised_by_filter(np.ones((2, 2)), np.array([[3.0, 0.0], [4.0, 1.0]]), (1,)).round(3).tolist()
        [[3.536, 0.707], [3.536, 0.707]]
    """
    if axes is None:
        return np.zeros(weights.shape)
    # The axes inside one filter; lengths keep them as 1, for broadcasting.
    within = tuple(axis for axis in range(weights.ndim) if axis not in axes)
    lengths = np.sqrt(np.sum(weights**2, axis=within, keepdims=True))
    own = np.sqrt(np.sum(direction**2, axis=within, keepdims=True))
    return direction * (lengths / (own + SMALLEST))


def random_direction(weights: Sequence[Array], axes: Sequence[Axes | None], *, seed: int, index: int) -> Array:
    """Return a Gaussian direction, normalised by filter, [W].

    Networks of one architecture get the same random numbers, each normalised by its own filters.

    Args:
        weights: the trainable arrays of a network in its order.
        axes:    of each array, those that number its filters; None: it is not varied.
        seed:    of the random numbers.
        index:   0 for the first direction, 1 for the second.
    """
    generator = np.random.default_rng([seed, index])
    drawn = [generator.standard_normal(array.shape) for array in weights]
    parts = [normalised_by_filter(d, w, a).ravel() for d, w, a in zip(drawn, weights, axes, strict=True)]
    return np.concatenate(parts)


def filter_axes(model: keras.Model) -> list[Axes | None]:
    """Return the axes that number the filters of each trainable array, in the order of the model.

    It is the last axis of kernels (one filter for each output channel or unit), both last ones of depthwise kernels,
    the last but one of transposed convolutions, the axes of the output in `EinsumDense` and in attention, the first of
    embeddings. None: biases, vectors and the weights of norms, which are not varied.
    """
    owner = {id(variable): layer for layer in all_layers(model) for variable in own_variables(layer)}
    return [_axes(owner.get(id(variable)), variable) for variable in trainable_weights(model)]


def _axes(layer: keras.Layer | None, variable: keras.Variable) -> Axes | None:
    rank, name = len(variable.shape), variable.path.rpartition("/")[2]
    if rank < 2 or "bias" in name or isinstance(layer, NORMS):
        return None
    if isinstance(layer, _layers.Embedding):
        return (0,)
    if isinstance(layer, TRANSPOSED):
        return (rank - 2,)
    if isinstance(layer, DEPTHWISE) or (isinstance(layer, SEPARABLE) and "depthwise" in name):
        return (rank - 2, rank - 1)
    if isinstance(layer, _layers.EinsumDense):
        return _output_axes(layer.equation)
    return (rank - 1,)


def _output_axes(equation: str) -> Axes:
    """Return the axes of a kernel that are in the output.

    Examples:
        >>> _output_axes("abc,cde->abde"), _output_axes("...x,xy->...y")
        ((1, 2), (1,))
    """
    inputs, output = equation.replace(" ", "").split("->")
    return tuple(axis for axis, letter in enumerate(inputs.split(",")[1]) if letter in output)
