"""A forward and backward pass on cross-entropy, with and without leaving a trace in the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

if TYPE_CHECKING:
    import keras

Tensors = list[tf.Tensor]


def cross_entropy(labels: Any, logits: Any) -> tf.Tensor:
    """Return the mean cross-entropy of logits [b, C] at integer labels [b], or at class weights [b, C], in nats.

    It is taken in float32 at least, whatever the network computes in.
    """
    logits = tf.cast(logits, tf.float64 if logits.dtype == tf.float64 else tf.float32)
    if len(labels.shape) == 2:
        losses = tf.nn.softmax_cross_entropy_with_logits(tf.cast(labels, logits.dtype), logits)
    else:
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.cast(labels, tf.int32), logits)
    return tf.reduce_mean(losses)


def stateless_gradient(
    model: keras.Model, weights: Tensors, state: Tensors, images: Any, labels: Any
) -> tuple[tf.Tensor, Tensors]:
    """Return cross-entropy at `weights` and its gradient; batch norm takes the statistics of `images` and keeps none.

    Args:
        weights: one tensor for each of `model.trainable_variables`.
        state:   one tensor for each of `model.non_trainable_variables`; the same state gives the same dropout.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(weights)
        logits, _ = model.stateless_call(weights, state, images, training=True)
        loss = cross_entropy(labels, logits)
    return loss, tape.gradient(loss, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)
