"""One step of stochastic gradient descent, plain or regularized."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import tensorflow as tf

from infomcr_cli.training.fused_norm import fused_batch_norm
from infomcr_cli.training.passes import Pass, Tensors, accuracy, checked_labels, connected_gradient, cross_entropy
from infomcr_cli.training.regularizer import Regularizer as Regularizer
from infomcr_cli.training.replicas import agreed, share_of_mean

if TYPE_CHECKING:
    import keras


class _Main(NamedTuple):
    loss: tf.Tensor
    l2: tf.Tensor
    accuracy: tf.Tensor
    gradient: Tensors  # of loss + l2


def train_step(
    model: keras.Model,
    optimizer: keras.Optimizer,
    images: Any,
    labels: Any,
    *,
    regularizer: Regularizer | None = None,
) -> dict[str, tf.Tensor]:
    """Take one step and return its scalars.

    The gradient is that of cross-entropy and L2 penalty, plus what the regularizer adds; moving statistics are
    updated once. With `regularizer` None or inactive (β = 0, ρ = 0) it is exactly the plain step.

    Args:
        images: standardised, [B, H, W, C].
        labels: integers [B], or class weights [B, C].
    Returns: loss (cross-entropy, nats), l2 (the L2 penalty), penalty (the regularizer's value, without its weight),
        accuracy (0..1), all before the step.
    Raises: InputError: labels are not classes of the model.
    """
    _build(optimizer, model)
    labels = checked_labels(model, labels)
    if regularizer is None or not regularizer.is_active:
        main, penalty = _main_pass(model, images, labels), tf.zeros(())
        gradient = main.gradient
    else:
        # The regularizer comes first: it reads the statistics that the main pass is about to change.
        found = regularizer(model, images, labels)
        penalty = found.value
        main = _main_pass(model, images, labels) if found.main is None else _adopted(model, found.main)
        gradient = [g + c for g, c in zip(main.gradient, found.gradient, strict=True)]
    optimizer.apply(share_of_mean(gradient), model.trainable_variables)
    return {"loss": main.loss, "l2": main.l2, "penalty": penalty, "accuracy": main.accuracy}


def _build(optimizer: keras.Optimizer, model: keras.Model) -> None:
    if not optimizer.built:
        with tf.init_scope():
            optimizer.build(model.trainable_variables)


def _main_pass(model: keras.Model, images: Any, labels: Any) -> _Main:
    with tf.GradientTape() as tape:
        with fused_batch_norm(model):
            logits = model(images, training=True)
        loss = cross_entropy(labels, logits)
        l2 = _l2(model, loss.dtype)
        objective = loss + l2
    return _Main(loss, l2, accuracy(labels, logits), connected_gradient(tape, objective, model.trainable_variables))


def _adopted(model: keras.Model, shared: Pass) -> _Main:
    """Let the sub-batches' passes stand for the main one: take over their statistics, and add the L2 penalty."""
    for variable, value in zip(model.non_trainable_variables, agreed(shared.state), strict=True):
        variable.assign(value)
    with tf.GradientTape() as tape:
        l2 = _l2(model, shared.loss.dtype)
    decay = connected_gradient(tape, l2, model.trainable_variables)
    return _Main(shared.loss, l2, shared.accuracy, [g + d for g, d in zip(shared.gradient, decay, strict=True)])


def _l2(model: keras.Model, dtype: tf.DType) -> tf.Tensor:
    terms = model.losses  # each look makes all of them anew
    return tf.cast(tf.add_n(terms), dtype) if terms else tf.zeros((), dtype)
