"""Batch norm on a chunk's own statistics with its gradient in closed form, for Jacobians that take many cotangents.

Over the n values of a channel, x̂ = (x - mean) r with r = 1 / √(variance + ε), y = γ x̂ + β and d = ∂ℓ/∂y:

    ∂ℓ/∂β = Σ d        ∂ℓ/∂γ = Σ d x̂        ∂ℓ/∂x = γ r (d - Σ d / n - x̂ Σ d x̂ / n)

Differentiated operation by operation, mean and variance would write arrays of the size of the activations a dozen times
for each cotangent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from infomcr_cli.models.keras_internals import all_layers, replaced

Gradient = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor, tf.Tensor]]


@contextmanager
def norm_gradients_in_closed_form(model: keras.Model) -> Iterator[None]:
    """Use this gradient inside the block for batch norms of `model` that take the statistics of their inputs."""
    with ExitStack() as stack:
        for layer in all_layers(model):
            # A frozen layer keeps its moving statistics; the sums of a synchronized one are of several devices.
            if type(layer) is keras.layers.BatchNormalization and layer.trainable and not layer.synchronized:
                stack.enter_context(replaced(layer, "call", partial(_norm, layer, layer.call)))
        yield


def _norm(layer: Any, otherwise: Callable[..., Any], inputs: Any, mask: Any = None, **options: Any) -> Any:
    """Return the layer's output for [..., channels]."""
    shape = tf.TensorShape(inputs.shape)
    if mask is not None or not shape.is_fully_defined() or layer.axis % len(shape) != len(shape) - 1:
        return otherwise(inputs, mask=mask, **options)
    channels, axes = shape[-1], list(range(len(shape) - 1))
    count = shape.num_elements() // channels

    @tf.custom_gradient
    def normalized(x: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
        mean, variance = tf.nn.moments(x, axes)  # [channels]
        root = tf.math.rsqrt(variance + tf.constant(layer.epsilon, x.dtype))
        unit = (x - mean) * root  # x̂

        def gradient(d: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            by_offset, by_scale = tf.reduce_sum(d, axes), tf.reduce_sum(d * unit, axes)
            # The means over n values are taken of the sums: [channels], not [..., channels].
            by_input = (d - by_offset / count - unit * (by_scale / count)) * (scale * root)
            return by_input, by_scale, by_offset

        return unit * scale + offset, gradient

    x = tf.convert_to_tensor(inputs)
    scale = tf.cast(layer.gamma.value, x.dtype) if layer.scale else tf.ones(channels, x.dtype)
    offset = tf.cast(layer.beta.value, x.dtype) if layer.center else tf.zeros(channels, x.dtype)
    return normalized(x, scale, offset)
