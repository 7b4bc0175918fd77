"""The spectral norm of one linear map of a network: of the operator on feature maps, not of its reshaped kernel."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, eigsh

from infomcr_cli.errors import InputError
from infomcr_cli.measures.batch_norm_folding import CONVOLUTIONS, LinearMap

Array = NDArray[np.float64]


def spectral_norm(one: LinearMap) -> float:
    """Return the largest singular value of a linear map as it acts on the network's own feature maps.

    The norm of a convolution is that of the whole operator, with its stride, its padding by zeros and its true input
    size. That of the kernel reshaped to a matrix can be wrong by the square root of the kernel's area.

    Source: Gouk et al., 2021, arXiv:1804.04368 (the operator); Sedghi et al., 2019, arXiv:1805.10408 (the difference).
    """
    if one.kernel.ndim == 1:
        return float(np.abs(one.kernel).max())
    if isinstance(one.layer, CONVOLUTIONS):
        return convolution_norm(one.layer, one.kernel)
    return float(np.linalg.norm(one.kernel, 2))


def convolution_norm(layer: keras.layers.Layer, kernel: Array) -> float:
    """Return √λ_max(AᵀA), A the convolution with this kernel on inputs of the layer's size (Lanczos, relative 1e-4).

    Raises:
        InputError: the layer has no input of one fixed size.
    """
    shape, weights = _input_shape(layer), tf.constant(kernel)

    @tf.function(autograph=False)
    def back_and_forth(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = _convolved(layer, x, weights)
        return tape.gradient(y, x, output_gradients=y)

    size = int(np.prod(shape))

    def normal(x: Array) -> Array:
        return back_and_forth(tf.constant(x.reshape(1, *shape))).numpy().reshape(-1)

    start = np.random.default_rng(0).standard_normal(size)
    once = normal(start)
    if size == 1 or not once.any():  # ARPACK takes neither an operator on one number nor one that is zero
        return float(np.sqrt(np.abs(once / start).max()))
    values = eigsh(
        LinearOperator((size, size), normal, dtype=np.float64), 1, v0=start, tol=1e-8, return_eigenvectors=False
    )
    return float(np.sqrt(values[0]))


def _convolved(layer: keras.layers.Layer, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Return a convolution without its bias; `convolution_op` knows no causal padding, which is that of the call."""
    if layer.padding != "causal":
        return layer.convolution_op(x, kernel)
    before = [layer.dilation_rate[0] * (layer.kernel_size[0] - 1), 0]
    places = [before, [0, 0]] if layer.data_format == "channels_last" else [[0, 0], before]
    padded = tf.pad(x, [[0, 0], *places])
    return keras.ops.conv(padded, kernel, list(layer.strides), "valid", layer.data_format, layer.dilation_rate)


def _input_shape(layer: keras.layers.Layer) -> tuple[int, ...]:
    """The shape of what a convolution takes, [height, width, channels] or the like."""
    try:
        shape = tuple(layer.input.shape[1:])
    except (AttributeError, ValueError):  # called from Python code, not in a graph
        shape = (None,)
    if None in shape:
        raise InputError(
            "the norm of a convolution needs a graph of layers and images of one size", received=layer.name
        )
    return shape
