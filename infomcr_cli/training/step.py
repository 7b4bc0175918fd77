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
    smoothed_labels,
    training_loss,
    values_of,
)
from infomcr_cli.training.model_losses import call_at, losses_on_weights, summed
from infomcr_cli.training.regularizers.base import Regularizer as Regularizer

if TYPE_CHECKING:
    import keras


class _MainPass(NamedTuple):
    """Scalars and gradient of the objective without the regularizer."""

    loss: tf.Tensor  # cross-entropy of the labels as they are
    l2: tf.Tensor
    accuracy: tf.Tensor
    gradient: Tensors  # of cross-entropy, smoothed if labels are, + l2


def train_step(
    model: keras.Model,
    optimizer: keras.Optimizer,
    images: Any,
    labels: Any,
    *,
    regularizer: Regularizer | None = None,
    label_smoothing: float = 0.0,
) -> dict[str, tf.Tensor]:
    """Take one step and return its scalars.

    The gradient is that of cross-entropy and of the model's own losses (penalties on weights and activations, and what
    layers give to `add_loss`), plus what the regularizer adds; moving statistics are updated once. With `regularizer`
    None or inactive (β = 0, ρ = 0) it is exactly the plain step.

    Args:
        images: standardised, [B, H, W, C].
        labels: integers [B], or class weights [B, C].
        label_smoothing: share of each label that is spread evenly over all classes, in the loss that is minimized and
            in the regularizer's passes; not in the loss that is returned.

    Returns:
        loss (cross-entropy, nats), l2 (the sum of the model's own losses), penalty (the regularizer's value,
            without its weight), accuracy (0..1), all before the step.

    Raises:
        InputError: the model gives probabilities, or labels are not classes of the model.
    """
    if not optimizer.built:
        with tf.init_scope():
            optimizer.build(model.trainable_variables)
    labels = checked_labels(model, labels)
    with smoothed_labels(label_smoothing):
        main, penalty, gradient = _passes(model, images, labels, regularizer)
    if replica_count() > 1:
        gradient = clipped_together(optimizer, gradient)
    optimizer.apply(replica_share(gradient), model.trainable_variables)
    return {"loss": main.loss, "l2": main.l2, "penalty": penalty, "accuracy": main.accuracy}


def _passes(
    model: keras.Model, images: Any, labels: Any, regularizer: Regularizer | None
) -> tuple[_MainPass, tf.Tensor, Tensors]:
    """Return the main pass, the regularizer's value and the sum of both gradients."""
    if regularizer is None or not regularizer.is_active:
        main = _main_pass(model, images, labels)
        return main, tf.zeros(()), main.gradient
    # The regularizer comes first: it reads the moving statistics that the main pass updates.
    term = regularizer(model, images, labels)
    main = _main_pass(model, images, labels) if term.main is None else _from_sub_batches(model, term.main)
    return main, term.value, [g + c for g, c in zip(main.gradient, term.gradient, strict=True)]


def _main_pass(model: keras.Model, images: Any, labels: Any) -> _MainPass:
    if replica_count() > 1:
        return _replica_pass(model, images, labels)
    with tf.GradientTape() as tape:
        with fused_batch_norm(model), inlined_functions(model):
            logits = model(images, training=True)
        loss, plain = training_loss(labels, logits)
        l2 = summed(model.losses, loss.dtype)
        objective = loss + l2
    expect_logits(model, images, logits)  # after model.losses: its call of the model would replace them
    gradient = connected_gradient(tape, objective, model.trainable_variables)
    return _MainPass(plain, l2, accuracy(labels, logits), gradient)


def _replica_pass(model: keras.Model, images: Any, labels: Any) -> _MainPass:
    """Pass on one of several replicas, stateless: the losses that Keras keeps on a layer could be another replica's.

    Replicas are traced in turn, each up to its next collective operation, which batch norm has in the middle of a call.
    """
    weights, state = values_of(model.trainable_variables), values_of(model.non_trainable_variables)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(weights)
        logits, after, losses = call_at(model, weights, state, images)
        expect_logits(model, images, logits)
        loss, plain = training_loss(labels, logits)
        l2 = summed([*losses, *losses_on_weights(model, weights)], loss.dtype)
        objective = loss + l2
    gradient = connected_gradient(tape, objective, weights)
    for variable, before, value in zip(model.non_trainable_variables, state, after, strict=True):
        if value is not before:
            variable.assign(value)
    return _MainPass(plain, l2, accuracy(labels, logits), gradient)


def _from_sub_batches(model: keras.Model, shared: Pass) -> _MainPass:
    """Use the sub-batches' passes as the main pass: assign their moving statistics, add the penalties on weights."""
    for variable, value in zip(model.non_trainable_variables, mean_over_replicas(shared.state), strict=True):
        variable.assign(value)
    weights = values_of(model.trainable_variables)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(weights)
        l2 = summed(losses_on_weights(model, weights), shared.loss.dtype)
    decay = connected_gradient(tape, l2, weights)
    gradient = [g + d for g, d in zip(shared.gradient, decay, strict=True)]
    return _MainPass(shared.cross_entropy, l2 + shared.added, shared.accuracy, gradient)
