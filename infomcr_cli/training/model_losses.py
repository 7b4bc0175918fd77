"""The losses of a model itself: penalties on weights and activations, and what its layers give to `add_loss`.

They are part of the objective of every step, beside cross-entropy, but not of the regularizers, which use cross-entropy
alone. Keras keeps them on the layers until the next call, where they could be those of another pass or device. Passes
here collect them in a scope of their own instead.

If sub-batches or devices share a batch, the losses of their calls are averaged, as cross-entropy is. So each must be a
mean over the images of a call, as Keras's penalties on activations are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import tensorflow as tf

from infomcr_cli.errors import InputError
from infomcr_cli.models.keras_internals import inlined_functions

if TYPE_CHECKING:
    from infomcr_cli.training.gradients import Tensors


MAX_GROWTH = 1.5  # of a loss when images are doubled: 2 for a sum, 1 for a mean, up to the noise of dropout


class Called(NamedTuple):
    """The results of a call in training mode.

    Args:
        logits: [b, C].
        state:  what `model.non_trainable_variables` would be after it.
        losses: what layers added in it: penalties on activations, and what was given to `add_loss`.
    """

    logits: tf.Tensor
    state: Tensors
    losses: Tensors


def call_at(
    model: keras.Model, weights: Tensors, state: Tensors, images: Any, *, replaces_main: bool = False
) -> Called:
    """Call a model at given values in training mode; the model is left as it is.

    `stateless_call` skips the model's own `__call__`: the losses of a layer that is called twice, and the penalty on
    the model's own output, would be lost.

    Args:
        weights: one tensor for each of `model.trainable_variables`.
        state:   one tensor for each of `model.non_trainable_variables`.
        replaces_main: whether there is no other pass, in which what a layer assigns would be kept.

    Raises:
        InputError: a layer assigns a trainable weight in its call, and no other pass would keep that.
    """
    variables = [*model.trainable_variables, *model.non_trainable_variables]
    values = zip(variables, [*weights, *state], strict=True)
    with inlined_functions(model), keras.StatelessScope(values, collect_losses=True) as scope:
        logits = model(images, training=True)
    assigned = [
        variable.path
        for variable, weight in zip(model.trainable_variables, weights, strict=True)
        if scope.get_current_value(variable) is not weight
    ]
    if replaces_main and assigned:
        raise InputError(
            "a layer must not assign a trainable weight in its call if sub-batches or devices replace the main pass",
            received=assigned[0],
            advice="Use reg=off, or reg=on with reg.share_pass=false, on one device.",
        )
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


def check_means(model: keras.Model, images: Any) -> None:
    """Check that what layers add to the loss does not grow with the number of images.

    Args:
        images: several that the model takes, [n, ...].

    Raises:
        InputError: a loss grows, so that its mean over parts of a batch would not be that of the batch.
    """
    kinds = (model.trainable_variables, model.non_trainable_variables)
    weights, state = ([tf.convert_to_tensor(v.value) for v in variables] for variables in kinds)
    twice = keras.tree.map_structure(lambda x: tf.concat([x, x], axis=0), images)
    of_one, of_both = (call_at(model, weights, state, batch).losses for batch in (images, twice))
    for once, doubled in zip(of_one, of_both, strict=True):
        before, after = (float(tf.reduce_sum(tf.cast(loss, tf.float64))) for loss in (once, doubled))
        if abs(after) > MAX_GROWTH * abs(before):
            raise InputError(
                "a loss that a layer adds must be a mean over images if sub-batches or devices share a batch",
                received=f"{before:.4g} for a batch, {after:.4g} for the same images twice",
                advice="Call add_loss with a mean: use keras.ops.mean instead of keras.ops.sum.",
            )
