"""Pass over the sub-batches of a batch in a loop, without changing the model.

| symbol | meaning | shape |
| --- | --- | --- |
| B | images of a batch | scalar |
| M | sub-batches, contiguous parts of the batch; M divides B | scalar |
| b | images of a sub-batch, B / M | scalar |
| w | trainable weights | a list of tensors |
| L_m, g_m | mean cross-entropy of sub-batch m, and ∇L_m(w) | scalar, as w |

The loop is a `tf.while_loop`, so that its body is traced once for any M.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import tensorflow as tf

from infomcr_cli.errors import InputError
from infomcr_cli.training.gradients import Pass, Tensors, values_of

if TYPE_CHECKING:
    import keras

# Two iterations of the loop may run at once: their small operations fill two cores, and no more than the activations of
# two sub-batches are in memory.
PARALLEL_SUB_BATCHES = 2


class SubBatches(NamedTuple):
    """A batch in M parts, and the values of the model's variables that passes over them start from.

    Args:
        images:  [M, b, ...], or a structure of such tensors for a model of several inputs.
        labels:  [M, b] or [M, b, C].
        weights: w, one tensor for each of `model.trainable_variables`.
        state:   one tensor for each of `model.non_trainable_variables`.
    """

    model: keras.Model
    images: Any
    labels: tf.Tensor
    weights: Tensors
    state: Tensors

    @classmethod
    def split(cls, model: keras.Model, images: Any, labels: Any, count: int) -> SubBatches:
        """Split a batch into `count` parts at the present weights.

        Raises:
            InputError: the batch cannot be split evenly.
        """
        if not model.built:
            model(images, training=False)  # layers without a known input shape make their weights now
        weights, state = values_of(model.trainable_variables), values_of(model.non_trainable_variables)
        parts = tf.nest.map_structure(lambda x: split_evenly(x, count), images)
        return cls(model, parts, split_evenly(labels, count), weights, state)

    def part(self, m: tf.Tensor) -> tuple[Any, tf.Tensor]:
        """Return images and labels of sub-batch m."""
        return tf.nest.map_structure(lambda x: x[m], self.images), self.labels[m]

    def state_from(self, generators: Tensors) -> Tensors:
        """Return the state with other states of random generators: see `generators_of`."""
        given = iter(generators)
        return [value if value.dtype.is_floating else next(given) for value in self.state]

    def loop(self, body: Callable[..., tuple[Any, ...]], iterations: int, *carried: Any) -> tuple[Any, ...]:
        """Repeat `body`, a function of index, `generators_of` the state and carried values, of their next values.

        Moving statistics are not carried: every pass starts from those of the batch.

        Returns:
            the last carried values, without index and generators.
        """
        _, _, *last = tf.while_loop(
            lambda i, *_: i < iterations,
            body,
            (tf.constant(0), generators_of(self.state), *carried),
            parallel_iterations=PARALLEL_SUB_BATCHES,
            maximum_iterations=iterations,
        )
        return tuple(last)

    def zero_loss(self) -> tf.Tensor:
        """Return 0 in the type of the model's cross-entropy, that of its logits if they are float64."""
        outputs = getattr(self.model, "outputs", None)  # a subclassed model has none
        logits = outputs[0].dtype if outputs else self.model.compute_dtype
        return tf.zeros((), tf.float64 if logits == "float64" else tf.float32)

    def zero_gradient(self) -> Tensors:
        """Return zeros of the shapes and types of w."""
        return [tf.zeros_like(w) for w in self.weights]


def split_evenly(batch: Any, parts: int) -> tf.Tensor:
    """Reshape a batch [B, ...] to contiguous sub-batches [M, B / M, ...].

    Raises:
        InputError: M does not divide B.
    """
    batch = tf.convert_to_tensor(batch)
    size = batch.shape[0]  # None while a function is traced for any size
    if parts < 1 or (size is not None and size % parts):
        raise InputError("num_sub_batches must divide the batch", received=f"{parts} sub-batches of {size} images")
    if size is None and parts > 1:
        rule = f"num_sub_batches={parts} must divide every batch; if the last one of an epoch is smaller, drop it"
        with tf.control_dependencies([tf.debugging.assert_equal(tf.shape(batch)[0] % parts, 0, message=rule)]):
            batch = tf.identity(batch)
    return tf.reshape(batch, [parts, -1 if size is None else size // parts, *batch.shape[1:]])


class GradientAccumulator(NamedTuple):
    """The sum of passes over sub-batches, whose mean can replace the main pass (ghost batch norm).

    Moving statistics get the mean of the sub-batches' updates, so that they are updated once. Losses that layers add
    are averaged too: each is taken to be a mean over its images, as Keras's penalties on activations are. Counters and
    states of random number generators are those of the last pass.

    Source: Hoffer et al., 2017, arXiv:1705.08741.
    """

    loss: tf.Tensor
    accuracy: tf.Tensor
    gradient: Tensors  # of loss + added
    state: Tensors  # by how much it changed; variables that stay as they are sum up to exactly 0
    added: tf.Tensor
    logits: tf.TensorArray  # of each sub-batch, [b, C]

    @classmethod
    def zero(cls, batch: SubBatches, count: int) -> GradientAccumulator:
        """Return an empty sum, of `count` passes to come."""
        state = [tf.zeros_like(s) if s.dtype.is_floating else s for s in batch.state]
        loss = batch.zero_loss()
        return cls(loss, tf.zeros(()), batch.zero_gradient(), state, loss, tf.TensorArray(loss.dtype, count))

    def plus(self, found: Pass, m: tf.Tensor, batch: SubBatches) -> GradientAccumulator:
        """Return the sum with one more pass, that over sub-batch m."""

        def add(total: tf.Tensor, term: tf.Tensor) -> tf.Tensor:
            term = tf.cast(term, total.dtype)
            return total + term if total.dtype.is_floating else term

        gradient = found.gradient
        if found.added_gradient is not None:
            gradient = [g + a for g, a in zip(gradient, found.added_gradient, strict=True)]
        *sums, logits = self
        changes = [
            after - before if before.dtype.is_floating else after
            for after, before in zip(found.state, batch.state, strict=True)
        ]
        terms = [found.loss, found.accuracy, gradient, changes, found.added]
        loss, hits, gradient, state, added = tf.nest.map_structure(add, sums, terms)
        logits = logits.write(m, tf.cast(found.logits, logits.dtype))
        return GradientAccumulator(loss, hits, gradient, state, added, logits)

    def mean(self, count: int, batch: SubBatches) -> Pass:
        """Return the mean of `count` passes; its gradient is that of the loss and of what layers added to it."""
        *sums, logits = self
        loss, hits, gradient, state, added = tf.nest.map_structure(
            lambda total: total / count if total.dtype.is_floating else total, sums
        )
        state = [
            before + change if before.dtype.is_floating else change
            for before, change in zip(batch.state, state, strict=True)
        ]
        return Pass(loss, hits, gradient, state, logits.concat(), added)  # [M · b, C]


def generators_of(state: Tensors) -> Tensors:
    """Return the states of random number generators, and counters: what is not floating-point in a state."""
    return [value for value in state if not value.dtype.is_floating]


def next_index(i: tf.Tensor, found: Pass) -> tf.Tensor:
    """Return i + 1; only after the pass, if it draws from TensorFlow's own generators.

    Iterations that run at once would otherwise draw from them in any order.
    """
    if tf.executing_eagerly() or not any(map(_has_side_effects, tf.compat.v1.get_default_graph().get_operations())):
        return i + 1
    with tf.control_dependencies([found.loss, *found.gradient]):
        return i + 1


def _has_side_effects(operation: tf.Operation) -> bool:
    return operation.op_def.is_stateful and operation.type not in ("ReadVariableOp", "Placeholder")
