"""A convolution whose kernel gradient is one product of matrices, for Jacobians that take many cotangents at once.

All samples that share batch statistics share the layer's input, so its windows are laid out once, and vectorised over
the cotangents the product becomes a single large one. TensorFlow's own filter gradient, given that many filters, takes
one and a half times as long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from infomcr_cli.models.keras_internals import all_layers, replaced

LARGEST_WINDOW, FEWEST_CHANNELS = 9, 16
Gradient = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


@contextmanager
def kernel_gradients_as_products(model: keras.Model) -> Iterator[None]:
    """Use this gradient inside the block for the convolutions of `model` that are faster with it."""
    with ExitStack() as stack:
        for layer in all_layers(model):
            if type(layer) is keras.layers.Conv2D and _pays(layer):
                convolution = partial(_convolution, layer, layer.convolution_op)
                stack.enter_context(replaced(layer, "convolution_op", convolution))
        yield


def _pays(layer: Any) -> bool:
    """Return whether this gradient is faster for a convolution.

    Larger windows take longer to lay out than they save, and much memory; with few channels the product is narrow.
    """
    plain = layer.groups == 1 and layer.data_format == "channels_last" and tuple(layer.dilation_rate) == (1, 1)
    rows, columns = layer.kernel_size
    return plain and layer.built and rows * columns <= LARGEST_WINDOW and layer.kernel.shape[2] >= FEWEST_CHANNELS


def _convolution(layer: Any, otherwise: Callable[..., Any], inputs: Any, kernel: Any) -> Any:
    """Return the layer's convolution of [n, height, width, channels] by [rows, columns, channels, filters]."""
    if not tf.TensorShape(inputs.shape).is_fully_defined():
        return otherwise(inputs, kernel)
    strides, padding = [1, *layer.strides, 1], layer.padding.upper()

    @tf.custom_gradient
    def convolved(x: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
        def gradient(d: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            # [positions, weights of a filter]ᵀ · [positions, filters]
            rows = tf.reshape(windows, [-1, windows.shape[-1]])
            by_kernel = tf.matmul(rows, tf.reshape(d, [-1, k.shape[-1]]), transpose_a=True)
            by_input = tf.raw_ops.Conv2DBackpropInput(
                input_sizes=x.shape, filter=k, out_backprop=d, strides=strides, padding=padding
            )
            return by_input, tf.reshape(by_kernel, k.shape)

        # Outside of `gradient`, whose cotangents all share it: [n, out_height, out_width, rows · columns · channels].
        windows = tf.image.extract_patches(x, [1, *layer.kernel_size, 1], strides, [1, 1, 1, 1], padding)
        return tf.nn.conv2d(x, k, strides, padding), gradient

    return convolved(tf.convert_to_tensor(inputs), tf.convert_to_tensor(kernel))
