"""Take one step of stochastic gradient descent, plain or regularized.

gradient = ∇(cross-entropy + the model's own losses) + what the regularizer adds, clipped if the optimizer clips
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import tensorflow as tf

from infomcr_cli.models.keras_internals import fused_batch_norm, inlined_functions
from infomcr_cli.models.logits import expect_logits
from infomcr_cli.training.devices import clipped_together, mean_over_replicas, replica_count, replica_share
from infomcr_cli.training.gradients import (
    Pass,
    Tensors,
    accuracy,
    checked_labels,
    connected_gradient,
    reported_loss,
    smoothed_labels,
    training_loss,
    values_of,
)
from infomcr_cli.training.model_losses import call_at, losses_on_weights, summed
from infomcr_cli.training.regularizers.base import Regularizer as Regularizer

if TYPE_CHECKING:
    import keras


class Step(NamedTuple):
    """What a step returns, all before it was taken.

    Args:
        loss:     cross-entropy of the labels as they are, nats.
        l2:       the sum of the model's own losses.
        penalty:  the regularizer's value, without its weight.
        accuracy: 0..1.
        logits:   [B, C].
    """

    loss: tf.Tensor
    l2: tf.Tensor
    penalty: tf.Tensor
    accuracy: tf.Tensor
    logits: tf.Tensor

    def scalars(self) -> dict[str, tf.Tensor]:
        """Return all but the logits."""
        return {"loss": self.loss, "l2": self.l2, "penalty": self.penalty, "accuracy": self.accuracy}


class _MainPass(NamedTuple):
    """Scalars, logits and gradient of the objective without the regularizer."""

    loss: tf.Tensor  # cross-entropy of the labels as they are
    l2: tf.Tensor
    accuracy: tf.Tensor
    gradient: Tensors  # of cross-entropy, smoothed if labels are, + l2; times the optimizer's loss scale
    logits: tf.Tensor


def train_step(
    model: keras.Model,
    optimizer: keras.Optimizer,
    images: Any,
    labels: Any,
    *,
    regularizer: Regularizer | None = None,
    label_smoothing: float = 0.0,
) -> dict[str, tf.Tensor]:
    """Take one training step and return its scalars.

    The gradient is that of cross-entropy and of the model's own losses (penalties on weights and activations, and what
    layers give to `add_loss`), plus what the regularizer adds; moving statistics are updated once. With `regularizer`
    None or inactive (β = 0, ρ = 0) it is exactly the plain step.

    Args:
        images: standardised, [B, H, W, C].
        labels: integers [B], or class probabilities [B, C].
        label_smoothing: fraction of each label that is spread evenly over all classes, in the minimized loss and in
            the regularizer's passes, but not in the returned loss.

    Returns:
        loss (cross-entropy, nats), l2 (the sum of the model's own losses), penalty (the regularizer's value,
            before its weight), accuracy (0..1), all before the step.

    Raises:
        InputError: the model outputs probabilities, or labels are not classes of the model.

    Examples:
        >>> import keras, numpy as np
        >>> model = keras.Sequential([keras.Input([2]), keras.layers.Dense(2, kernel_initializer="zeros")])
        >>> scalars = train_step(model, keras.optimizers.SGD(0.1), np.eye(2, dtype="float32"), np.array([0, 1]))
        >>> round(float(scalars["loss"]), 4)  # ln 2
        0.6931
    """
    return take_step(
        model, optimizer, images, labels, regularizer=regularizer, label_smoothing=label_smoothing
    ).scalars()


def take_step(
    model: keras.Model,
    optimizer: keras.Optimizer,
    images: Any,
    labels: Any,
    *,
    regularizer: Regularizer | None = None,
    label_smoothing: float = 0.0,
) -> Step:
    """Take the step of `train_step`, and return the logits too.

    An optimizer that scales the loss, as that of mixed_float16, gets a scaled gradient, regularizer included.
    """
    if not model.built:
        model(images, training=False)  # layers without a known input shape make their weights now
    if not optimizer.built:
        with tf.init_scope():
            optimizer.build(model.trainable_variables)
    labels, scale = checked_labels(model, labels), _loss_scale(optimizer)
    with smoothed_labels(label_smoothing):
        # The regularizer comes first: it reads the moving statistics that the main pass updates.
        term = regularizer(model, images, labels) if regularizer is not None and regularizer.is_active else None
        if term is None or term.main is None:
            main = _main_pass(model, images, labels, scale)
        else:
            main = _from_sub_batches(model, term.main, labels, scale)
    penalty, gradient = tf.zeros(()), main.gradient
    if term is not None:
        penalty = term.value
        gradient = [g + _scaled(c, scale) for g, c in zip(gradient, term.gradient, strict=True)]
    if replica_count() > 1 and scale is None:
        gradient = clipped_together(optimizer, gradient)
    optimizer.apply(replica_share(gradient), model.trainable_variables)
    return Step(main.loss, main.l2, penalty, main.accuracy, main.logits)


def _loss_scale(optimizer: keras.Optimizer) -> tf.Tensor | None:
    """Return the factor by which an optimizer divides the gradients that it is given; None if it does not.

    Gradients in half precision are computed of a loss that is so many times larger, where small ones are not lost.
    """
    if hasattr(optimizer, "dynamic_scale") or getattr(optimizer, "loss_scale_factor", None) is not None:
        return tf.convert_to_tensor(optimizer.scale_loss(tf.ones(())))
    return None


def _scaled(value: tf.Tensor, scale: tf.Tensor | None) -> tf.Tensor:
    return value if scale is None else value * tf.cast(scale, value.dtype)


def _main_pass(model: keras.Model, images: Any, labels: Any, scale: tf.Tensor | None) -> _MainPass:
    if replica_count() > 1:
        return _replica_pass(model, images, labels, scale)
    with tf.GradientTape() as tape:
        with fused_batch_norm(model), inlined_functions(model):
            logits = model(images, training=True)
        loss = training_loss(labels, logits)
        l2 = summed(model.losses, loss.dtype)
        objective = _scaled(loss + l2, scale)
    expect_logits(model, images, logits)  # after model.losses: its call of the model would replace them
    gradient = connected_gradient(tape, objective, model.trainable_variables)
    loss = reported_loss(labels, logits, loss)
    return _MainPass(loss, l2, accuracy(labels, logits), gradient, logits)


def _replica_pass(model: keras.Model, images: Any, labels: Any, scale: tf.Tensor | None) -> _MainPass:
    """Pass on one of several replicas, stateless: the losses that Keras keeps on a layer could be another replica's.

    Replicas are traced in turn, each up to its next collective operation, which batch norm has in the middle of a call.
    """
    weights, state = values_of(model.trainable_variables), values_of(model.non_trainable_variables)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(weights)
        logits, after, losses = call_at(model, weights, state, images, replaces_main=True)
        expect_logits(model, images, logits)
        loss = training_loss(labels, logits)
        l2 = summed([*losses, *losses_on_weights(model, weights)], loss.dtype)
        objective = _scaled(loss + l2, scale)
    gradient = connected_gradient(tape, objective, weights)
    for variable, before, value in zip(model.non_trainable_variables, state, after, strict=True):
        if value is not before:
            variable.assign(value)
    loss = reported_loss(labels, logits, loss)
    return _MainPass(loss, l2, accuracy(labels, logits), gradient, logits)


def _from_sub_batches(model: keras.Model, shared: Pass, labels: Any, scale: tf.Tensor | None) -> _MainPass:
    """Use the sub-batches' passes as the main pass: assign their moving statistics, add the penalties on weights."""
    for variable, value in zip(model.non_trainable_variables, mean_over_replicas(shared.state), strict=True):
        variable.assign(value)
    weights = values_of(model.trainable_variables)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(weights)
        l2 = summed(losses_on_weights(model, weights), shared.loss.dtype)
    decay = connected_gradient(tape, l2, weights)
    gradient = [_scaled(g + d, scale) for g, d in zip(shared.gradient, decay, strict=True)]
    loss = reported_loss(labels, shared.logits, shared.loss)
    return _MainPass(loss, l2 + shared.added, shared.accuracy, gradient, shared.logits)
