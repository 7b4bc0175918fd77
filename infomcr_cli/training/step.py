"""One step of stochastic gradient descent, plain or regularized."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import tensorflow as tf

from infomcr_cli.training.passes import Tensors, cross_entropy

if TYPE_CHECKING:
    import keras


class Regularizer(Protocol):
    """What a regularizer offers to a step: its value and gradient on a batch, and the weight β of both."""

    @property
    def beta(self) -> float: ...

    def penalty(self, model: keras.Model, images: Any, labels: Any) -> tuple[tf.Tensor, Tensors]: ...


def train_step(
    model: keras.Model,
    optimizer: keras.Optimizer,
    images: Any,
    labels: Any,
    *,
    regularizer: Regularizer | None = None,
) -> dict[str, tf.Tensor]:
    """Take one step and return its scalars.

    The gradient is that of cross-entropy and L2 penalty, plus β times the regularizer's; moving statistics
    are updated once. With `regularizer` None or β = 0 it is exactly the plain step.

    Args:
        images: standardised, [B, H, W, C].
        labels: integers [B], or class weights [B, C].
    Returns: loss (cross-entropy, nats), l2 (the L2 penalty), penalty (the regularizer's value, without β),
        accuracy (0..1), all before the step.
    """
    variables = model.trainable_variables
    if not optimizer.built:
        with tf.init_scope():
            optimizer.build(variables)
    # The penalty comes first: it reads the moving statistics that the main pass is about to change.
    penalty, surrogate = _penalty(regularizer, model, images, labels)
    with tf.GradientTape() as tape:
        logits = model(images, training=True)
        loss = cross_entropy(labels, logits)
        l2 = tf.add_n(model.losses) if model.losses else tf.zeros_like(loss)
        objective = loss + tf.cast(l2, loss.dtype)
    gradients = tape.gradient(objective, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    if surrogate is not None and regularizer is not None:
        gradients = [g + regularizer.beta * s for g, s in zip(gradients, surrogate, strict=True)]
    optimizer.apply(gradients, variables)
    return {"loss": loss, "l2": l2, "penalty": penalty, "accuracy": _accuracy(labels, logits)}


def _penalty(
    regularizer: Regularizer | None, model: keras.Model, images: Any, labels: Any
) -> tuple[tf.Tensor, Tensors | None]:
    if regularizer is None or regularizer.beta == 0:
        return tf.zeros(()), None
    return regularizer.penalty(model, images, labels)


def _accuracy(labels: Any, logits: tf.Tensor) -> tf.Tensor:
    truth = tf.argmax(labels, axis=-1) if len(labels.shape) == 2 else labels
    return tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, -1), tf.cast(truth, tf.int64)), tf.float32))
