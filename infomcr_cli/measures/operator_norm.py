"""The spectral norm of one linear map of a network: of the operator on feature maps, not of its reshaped kernel."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, eigsh

from infomcr_cli.errors import InputError
from infomcr_cli.measures.batch_norm_folding import CONVOLUTIONS, LinearMap
from infomcr_cli.models.traced import Traced

Array = NDArray[np.float64]


def spectral_norm(one: LinearMap) -> float:
    """Return the largest singular value of a linear map as it acts on the network's own feature maps.

    The norm of a convolution is that of the whole operator, with its stride, its padding by zeros and its true input
    size. That of the kernel reshaped to a matrix can be wrong by the square root of the kernel's area.

    Raises:
        InputError: a weight is NaN or infinite, or the layer has no input of one fixed size.

    Source: Gouk et al., 2021, arXiv:1804.04368 (the operator); Sedghi et al., 2019, arXiv:1805.10408 (the difference).
    """
    if not np.all(np.isfinite(one.kernel)):
        raise InputError("a spectral norm needs finite weights", received=one.layer.name)
    if one.kernel.ndim == 1:
        return float(np.abs(one.kernel).max())
    if isinstance(one.layer, CONVOLUTIONS):
        return convolution_norm(one.layer, one.kernel)
    return float(np.linalg.norm(one.kernel, 2))


def convolution_norm(layer: keras.layers.Layer, kernel: Array) -> float:
    """Return √λ_max(AᵀA), A the convolution with this kernel on inputs of the layer's size (Lanczos, tolerance 1e-8).

    Raises:
        InputError: the layer has no input of one fixed size.
    """
    shape, weights = _input_shape(layer), tf.constant(kernel)
    geometry = tuple(layer.strides), layer.padding, layer.data_format, tuple(layer.dilation_rate)
    back_and_forth = _back_and_forth(*geometry, shape, kernel.shape)
    size = int(np.prod(shape))

    def normal(x: Array) -> Array:
        return back_and_forth(x.reshape(1, *shape), weights).numpy().reshape(-1)

    start = np.random.default_rng(0).standard_normal(size)
    once = normal(start)
    if size == 1 or not once.any():  # ARPACK takes neither an operator on one number nor one that is zero
        return float(np.sqrt(np.abs(once / start).max()))
    values = eigsh(
        LinearOperator((size, size), normal, dtype=np.float64), 1, v0=start, tol=1e-8, return_eigenvectors=False
    )
    return float(np.sqrt(values[0]))


@lru_cache(maxsize=64)
def _back_and_forth(
    strides: tuple[int, ...], padding: str, data_format: str, dilation: tuple[int, ...], image: Any, kernel: Any
) -> Traced:
    """Return AᵀA x as a function of x and the kernel, compiled once for all layers of these shapes."""

    def of(x: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            padded = _padded_before(x, kernel[0], data_format, dilation) if padding == "causal" else x
            at_edges = "valid" if padding == "causal" else padding
            y = keras.ops.conv(padded, weights, list(strides), at_edges, data_format, dilation)
        return tape.gradient(y, x, output_gradients=y)  # Aᵀ(A x)

    return Traced(of)


def _padded_before(x: tf.Tensor, window: int, data_format: str, dilation: tuple[int, ...]) -> tf.Tensor:
    """Pad a sequence at its beginning, as causal convolutions do."""
    before = [dilation[0] * (window - 1), 0]
    places = [before, [0, 0]] if data_format == "channels_last" else [[0, 0], before]
    return tf.pad(x, [[0, 0], *places])


def _input_shape(layer: keras.layers.Layer) -> tuple[int, ...]:
    """Return the shape of what a convolution takes, [height, width, channels] or the like."""
    try:
        shape = tuple(layer.input.shape[1:])
    except (AttributeError, ValueError):  # called from Python code, not in a graph
        shape = (None,)
    if None in shape:
        raise InputError(
            "the norm of a convolution needs a graph of layers and images of one size", received=layer.name
        )
    return shape
