"""Replace what Keras's norms compute: fused batch norm in training, moments with a right second derivative.

| symbol | meaning | shape |
| --- | --- | --- |
| x | features | [b, h, w, C] |
| n | values of a channel, b·h·w | scalar |
| μ, σ² | mean and biased variance of a channel | [C] |
| m | momentum of the moving statistics | scalar |
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import keras
import tensorflow as tf
from keras.src.backend.common.variables import AutocastScope

from infomcr_cli.models.keras_internals.layers import all_layers, replaced

# Types of inputs that the fused kernel takes; weights, mean and variance are float32 with each of them.
FUSED_TYPES = (tf.float32, tf.bfloat16, tf.float16)


@contextmanager
def twice_differentiable_moments() -> Iterator[None]:
    """Inside the block, let norms take moments whose second derivative is right.

    `tf.nn.moments` treats the mean inside the variance as a constant. Its first derivative is still right, because the
    deviations sum to zero, but its second derivative is not: the Hessian of a network with batch or group norm is wrong
    by a percent or more. Values and first derivatives of the replacement are the same, so the temporary patch is safe
    for other callers.
    """
    original = tf.nn.moments
    tf.nn.moments = _moments
    try:
        yield
    finally:
        tf.nn.moments = original


def _moments(
    x: tf.Tensor, axes: Sequence[int], shift: Any = None, keepdims: bool = False, name: str | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    mean = tf.reduce_mean(x, axes, keepdims=True)  # [1, 1, 1, C] for axes (0, 1, 2), so that x - mean broadcasts
    variance = tf.reduce_mean(tf.square(x - mean), axes, keepdims=keepdims)
    return mean if keepdims else tf.squeeze(mean, list(axes)), variance


@contextmanager
def bounded_normalization(most: int) -> Iterator[None]:
    """Inside the block, refuse to build a `Normalization` whose mean has more than `most` numbers.

    A given mean is not a weight: Keras broadcasts it to all features when the layer is built.

    Raises:
        ValueError: the mean has more numbers.
    """
    kind = keras.layers.Normalization
    original = kind.build

    def build(layer: Any, input_shape: Any) -> None:
        count = math.prod(input_shape[axis] or 1 for axis in layer.axis) if input_shape else 0
        if count > most:
            raise ValueError(f"a Normalization of {count} numbers, more than {most}")
        original(layer, input_shape)

    kind.build = build
    try:
        yield
    finally:
        kind.build = original


@contextmanager
def fused_batch_norm(model: keras.Model) -> Iterator[None]:
    """Let the batch norms of `model` use TensorFlow's fused kernel, if they can, in functions traced in the block."""
    with ExitStack() as stack:
        for layer in all_layers(model):
            if type(layer) is keras.layers.BatchNormalization and not layer.renorm:
                stack.enter_context(replaced(layer, "call", partial(_fused_call, layer, layer.call)))
        yield


def _fused_call(
    layer: Any, keras_call: Callable[..., Any], inputs: Any, training: bool | None = None, mask: Any = None
) -> Any:
    """Normalize [b, h, w, C] by the statistics of the batch and update the moving ones: m·moving + (1 - m)·batch."""
    if not (training and layer.trainable and mask is None and _can_be_fused(layer, inputs)):
        return keras_call(inputs, training=training, mask=mask)
    channels = layer.moving_mean.shape
    with AutocastScope(None):  # in mixed precision the weights would be rounded to the type of the inputs
        scale = layer.gamma.value if layer.scale else tf.ones(channels)
        center = layer.beta.value if layer.center else tf.zeros(channels)
    # Without a mean and a variance, the kernel computes those of the batch, [C].
    output, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=inputs, scale=scale, offset=center, mean=[], variance=[], epsilon=layer.epsilon, is_training=True
    )
    # The kernel returns the unbiased variance; Keras's moving variance is one of biased variances.
    count = tf.cast(tf.size(inputs) // inputs.shape[-1], tf.float32)  # n = b·h·w
    biased = tf.where(count > 1, (count - 1) / count, 1.0)
    update_moving(layer.moving_mean, mean, layer.momentum)
    update_moving(layer.moving_variance, variance * biased, layer.momentum)
    return output


def _can_be_fused(layer: Any, inputs: Any) -> bool:
    last = layer.axis in (-1, 3)
    return not layer.synchronized and last and inputs.shape.rank == 4 and inputs.dtype in FUSED_TYPES


def update_moving(statistic: Any, value: tf.Tensor, momentum: float) -> None:
    """Assign m·statistic + (1 - m)·value to a moving statistic."""
    statistic.assign(statistic.value * momentum + value * (1.0 - momentum))
