"""Batch norm of images by TensorFlow's fused kernels, where Keras takes a dozen passes over memory.

Weights, outputs, gradients and moving statistics are those of the Keras layer up to rounding. The fused kernels serve
float32 (and no other precision), one device's own statistics, and one derivative: the second is left to Keras.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from infomcr_cli.models.replacing import replaced

if TYPE_CHECKING:
    Call = Callable[..., Any]


@contextmanager
def fused_batch_norm(model: keras.Model) -> Iterator[None]:
    """Let the batch norms of `model` that can be fused take their fused kernels, in what is traced inside."""
    with ExitStack() as stack:
        for layer in model._flatten_layers():
            if type(layer) is keras.layers.BatchNormalization and not layer.renorm:
                stack.enter_context(replaced(layer, "call", partial(_call, layer, layer.call)))
        yield


def _call(layer: Any, call: Call, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
    if not (training and layer.trainable and mask is None and _fits(layer, inputs)):
        return call(inputs, training=training, mask=mask)
    channels = layer.moving_mean.shape
    scale = layer.gamma.value if layer.scale else tf.ones(channels)
    centre = layer.beta.value if layer.center else tf.zeros(channels)
    output, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=inputs, scale=scale, offset=centre, mean=[], variance=[], epsilon=layer.epsilon, is_training=True
    )
    _move(layer.moving_mean, mean, layer.momentum)
    _move(layer.moving_variance, variance * _biased(inputs), layer.momentum)
    return output


def _fits(layer: Any, inputs: Any) -> bool:
    last = layer.axis in (-1, 3)
    return not layer.synchronized and last and inputs.shape.rank == 4 and inputs.dtype == tf.float32


def _move(statistic: Any, value: tf.Tensor, momentum: float) -> None:
    statistic.assign(statistic.value * momentum + value * (1.0 - momentum))


def _biased(inputs: tf.Tensor) -> tf.Tensor:
    """(n - 1)/n for n values of a channel: the fused kernel's variance is the unbiased one, that of Keras is not."""
    count = tf.cast(tf.size(inputs) // inputs.shape[-1], tf.float32)
    return tf.where(count > 1, (count - 1) / count, 1.0)
