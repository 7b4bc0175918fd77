"""Losses that a model has of its own: on weights, on activations, and what its layers give to `add_loss`.

They belong to the objective of every step, beside cross-entropy, and to no regularizer: those are on cross-entropy
alone. Keras keeps them on the layers until the next call, where a pass in a loop, or another device's, would be found.
Passes here take them from a scope of their own instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import tensorflow as tf

from infomcr_cli.models.inlined import inlined_functions

if TYPE_CHECKING:
    from infomcr_cli.training.gradients import Tensors


class Called(NamedTuple):
    """What a call in training mode gave.

    Args:
        logits: [b, C].
        state:  what `model.non_trainable_variables` would be after it.
        losses: what layers added in it: penalties on activations, and what was given to `add_loss`.
    """

    logits: tf.Tensor
    state: Tensors
    losses: Tensors


def call_at(model: keras.Model, weights: Tensors, state: Tensors, images: Any) -> Called:
    """Call a model at given values in training mode; the model is left as it is.

    `stateless_call` skips the model's own `__call__`: the losses of a layer that is called twice, and the penalty on
    the model's own output, would be lost.

    Args:
        weights: one tensor for each of `model.trainable_variables`.
        state:   one tensor for each of `model.non_trainable_variables`.
    """
    variables = [*model.trainable_variables, *model.non_trainable_variables]
    values = zip(variables, [*weights, *state], strict=True)
    with inlined_functions(model), keras.StatelessScope(values, collect_losses=True) as scope:
        logits = model(images, training=True)
    after = [scope.get_current_value(variable) for variable in model.non_trainable_variables]
    return Called(logits, after, list(scope.losses))


def losses_on_weights(model: keras.Model, weights: Tensors) -> Tensors:
    """Return the penalties of a model on its weights at given values, without those of any call."""
    with keras.StatelessScope(zip(model.trainable_variables, weights, strict=True)):
        return list(model.losses)


def summed(losses: Sequence[tf.Tensor], dtype: tf.DType) -> tf.Tensor:
    """Return the sum of losses of any type and shape, in `dtype`: layers of half precision have losses of it."""
    terms = [tf.cast(loss, dtype) for loss in losses]
    scalars = [term if term.shape.rank == 0 else tf.reduce_sum(term) for term in terms]
    return tf.add_n(scalars) if scalars else tf.zeros((), dtype)
