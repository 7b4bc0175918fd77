"""A batch in equal parts, and the mean of passes over them as if they were one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import tensorflow as tf

from infomcr_cli.errors import InputError
from infomcr_cli.training.passes import Pass, Tensors

if TYPE_CHECKING:
    import keras

AT_ONCE = (
    2  # sub-batches in a loop's passes: the activations of two are held, and their small operations fill two cores
)


def in_parts(batch: Any, parts: int) -> tf.Tensor:
    """Reshape a batch [B, ...] to contiguous sub-batches [parts, B / parts, ...].

    Raises: InputError: it cannot be split evenly.
    """
    batch = tf.convert_to_tensor(batch)
    size = batch.shape[0]
    if parts < 1 or (size is not None and size % parts):
        received = f"{parts} sub-batches of {size} images"
        raise InputError("num_sub_batches must divide the batch", received=received)
    return tf.reshape(batch, [parts, -1 if size is None else size // parts, *batch.shape[1:]])


def zero_loss(model: keras.Model) -> tf.Tensor:
    """Return 0 in the type of the model's cross-entropy."""
    return tf.zeros((), tf.float64 if model.compute_dtype == "float64" else tf.float32)


class PassSum(NamedTuple):
    """The sum of passes over sub-batches: what a loop carries to stand for the main pass (ghost batch norm).

    Moving statistics get the mean of the sub-batches' updates, so they are updated once; generators of dropout go on.
    So do losses that layers add: each is taken for a mean over its images, as Keras's penalties on activations are.
    Source: Hoffer et al., 2017, arXiv:1705.08741.
    """

    loss: tf.Tensor
    accuracy: tf.Tensor
    gradient: Tensors  # of loss + added
    state: Tensors
    added: tf.Tensor

    @classmethod
    def zero(cls, model: keras.Model, weights: Tensors, state: Tensors) -> PassSum:
        """Return an empty sum for a model."""
        empty = [tf.zeros_like(s) if s.dtype.is_floating else s for s in state]
        nothing = [tf.zeros_like(w) for w in weights]
        return cls(zero_loss(model), tf.zeros(()), nothing, empty, zero_loss(model))

    def plus(self, found: Pass) -> PassSum:
        """Return the sum with one more pass."""

        def sum_of(total: tf.Tensor, term: tf.Tensor) -> tf.Tensor:
            term = tf.cast(term, total.dtype)
            return total + term if total.dtype.is_floating else term

        gradient = found.gradient
        if found.added_gradient is not None:
            gradient = [g + a for g, a in zip(gradient, found.added_gradient, strict=True)]
        term = PassSum(found.loss, found.accuracy, gradient, found.state, found.added)
        return tf.nest.map_structure(sum_of, self, term)

    def mean(self, count: int) -> Pass:
        """Return the mean of `count` passes; its gradient is that of the loss and of what layers added to it."""
        return Pass(*tf.nest.map_structure(lambda total: total / count if total.dtype.is_floating else total, self))


def drawn_from(state: Tensors, other: Tensors, *, when: tf.Tensor | bool = True) -> Tensors:
    """Return a state with the generators of random numbers of another where the condition holds; the rest stays."""
    return [s if s.dtype.is_floating else tf.where(when, o, s) for s, o in zip(state, other, strict=True)]


def next_turn(i: tf.Tensor, found: Pass) -> tf.Tensor:
    """Return i + 1; where a pass draws from TensorFlow's own generators only after it, for turns must draw in order."""
    if tf.executing_eagerly() or not any(map(_has_effects, tf.compat.v1.get_default_graph().get_operations())):
        return i + 1
    with tf.control_dependencies([found.loss, *found.gradient]):
        return i + 1


def _has_effects(operation: tf.Operation) -> bool:
    return operation.op_def.is_stateful and operation.type not in ("ReadVariableOp", "Placeholder")
