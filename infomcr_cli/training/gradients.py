"""Cross-entropy, accuracy, and a stateless forward and backward pass.

| symbol | meaning | shape |
| --- | --- | --- |
| b | images of the batch | scalar |
| C | classes | scalar |
| w | trainable weights, one tensor for each of `model.trainable_variables` | as the variables |
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import tensorflow as tf

from infomcr_cli.data.labels import class_indices
from infomcr_cli.errors import InputError
from infomcr_cli.models import grouped_convolution as _compiled_once  # noqa: F401 -- for every convolution
from infomcr_cli.models import strided_gradient as _correct_gradients  # noqa: F401 -- registers gradients
from infomcr_cli.models.keras_internals import full_precision, fused_batch_norm, twice_differentiable_moments
from infomcr_cli.models.logits import expect_logits
from infomcr_cli.training.devices import replica_statistics
from infomcr_cli.training.model_losses import call_at, summed

if TYPE_CHECKING:
    import keras


Tensors = list[tf.Tensor]


class Pass(NamedTuple):
    """The results of one pass over a batch.

    Args:
        loss:     mean cross-entropy, nats, of smoothed labels inside `smoothed_labels`.
        accuracy: share of images whose highest logit is at their label, 0..1.
        gradient: of the loss, one tensor for each of `model.trainable_variables`.
        state:    what `model.non_trainable_variables` would be after it.
        logits:   [b, C].
        added:    the sum of what layers added to the loss in it if it was to be kept, else 0.
        added_gradient: of that sum; None if layers added nothing or it was not to be kept.
    """

    loss: tf.Tensor
    accuracy: tf.Tensor
    gradient: Tensors
    state: Tensors
    logits: tf.Tensor
    added: tf.Tensor
    added_gradient: Tensors | None = None


def cross_entropy(labels: Any, logits: Any) -> tf.Tensor:
    """Return the mean cross-entropy of logits [b, C] at integer labels [b] or [b, 1], or at class weights [b, C], nats.

    It is computed in float32 or float64, whatever the network computes in.

    Raises:
        InputError: the labels have another shape, or the network returns something else than one tensor [b, C].
    """
    shape = getattr(logits, "shape", None)
    if shape is None or len(shape) != 2:
        rule = "a network must return one tensor of logits, [images, classes]"
        raise InputError(rule, received=type(logits).__name__ if shape is None else shape)
    logits = tf.cast(logits, tf.float64 if logits.dtype == tf.float64 else tf.float32)
    labels = _indices_or_weights(labels, logits)
    if len(labels.shape) == 2:
        losses = tf.nn.softmax_cross_entropy_with_logits(tf.cast(labels, logits.dtype), logits)
    else:
        # Not as int32: 2**32 + 1 would become class 1.
        indices = labels if tf.as_dtype(labels.dtype) == tf.int32 else tf.cast(labels, tf.int64)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(indices, logits)
    return tf.reduce_mean(losses)


_label_smoothing: ContextVar[float] = ContextVar("_label_smoothing", default=0.0)


@contextmanager
def smoothed_labels(share: float) -> Iterator[None]:
    """Inside the block, let `training_loss` spread a share of each label evenly over all classes.

    The regularizers' passes use that loss too: they flatten what is minimized.

    Source: Szegedy et al., CVPR 2016, arXiv:1512.00567.
    """
    token = _label_smoothing.set(share)
    try:
        yield
    finally:
        _label_smoothing.reset(token)


def training_loss(labels: Any, logits: Any) -> tf.Tensor:
    """Return the loss that is minimized: the mean cross-entropy at smoothed labels, nats.

    With the share s of `smoothed_labels` and C classes, a label of weights y becomes (1 - s) y + s / C.

    Args:
        labels: as `cross_entropy` takes them.
        logits: [b, C].
    """
    share = _label_smoothing.get()
    if not share:
        return cross_entropy(labels, logits)
    labels = _indices_or_weights(labels, logits)
    classes = logits.shape[-1]
    weights = labels if len(labels.shape) == 2 else tf.one_hot(tf.cast(labels, tf.int64), classes)
    weights = tf.cast(weights, tf.float64 if logits.dtype == tf.float64 else tf.float32)
    return cross_entropy((1 - share) * weights + share / classes, logits)


def reported_loss(labels: Any, logits: Any, loss: tf.Tensor) -> tf.Tensor:
    """Return the mean cross-entropy at the labels as they are; `loss` itself if labels are not smoothed.

    Args:
        loss: `training_loss` of them.
    """
    return cross_entropy(labels, logits) if _label_smoothing.get() else loss


def checked_labels(model: keras.Model, labels: Any) -> Any:
    """Return class indices as int32 [b] if they are a NumPy array or a list; return other labels unchanged.

    Raises:
        InputError: the class indices are not integers, or not classes of the model.
    """
    if isinstance(labels, list | tuple):
        labels = np.asarray(labels)
    if not isinstance(labels, np.ndarray) or (labels.ndim != 1 and labels.shape[1:] != (1,)):
        return labels
    outputs: Any = getattr(model, "output_shape", None)
    known = isinstance(outputs, tuple) and isinstance(outputs[-1], int)
    return class_indices(labels, classes=outputs[-1] if known else 2**31)


def accuracy(labels: Any, logits: tf.Tensor) -> tf.Tensor:
    """Return the share of logits [b, C] that are highest at their label [b], or at their highest weight [b, C]."""
    labels = _indices_or_weights(labels, logits)
    truth = tf.argmax(labels, axis=-1) if len(labels.shape) == 2 else labels
    return tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, -1), tf.cast(truth, tf.int64)), tf.float32))


def _indices_or_weights(labels: Any, logits: tf.Tensor) -> Any:
    """Return labels [b] or class weights [b, C]; labels [b, 1], as in Keras's data sets, become [b]."""
    if len(labels.shape) == 2 and labels.shape[1] == 1:
        return labels[:, 0]
    if len(labels.shape) not in (1, 2) or (len(labels.shape) == 2 and labels.shape[1] not in (None, logits.shape[1])):
        rule = f"labels must be class indices [b] or class probabilities [b, {logits.shape[1]}]"
        raise InputError(rule, received=str(tuple(labels.shape)))
    return labels


def stateless_pass(
    model: keras.Model,
    weights: Tensors,
    state: Tensors,
    images: Any,
    labels: Any,
    *,
    twice: bool = False,
    keep_added: bool = False,
) -> Pass:
    """Pass over a batch at `weights` without changing the model, in float32 or float64.

    Batch norm takes the statistics of `images`.

    Args:
        weights:    one tensor for each of `model.trainable_variables`.
        state:      one tensor for each of `model.non_trainable_variables`; the same state gives the same dropout.
        twice:      the gradient will be differentiated again.
        keep_added: whether to keep what layers add to the loss, and its gradient.
    """
    norms = twice_differentiable_moments() if twice else fused_batch_norm(model)
    with tf.GradientTape(watch_accessed_variables=False, persistent=keep_added) as tape:
        tape.watch(weights)
        with replica_statistics(model), full_precision(model), norms:
            logits, state, losses = call_at(model, weights, state, images, replaces_main=keep_added)
        expect_logits(model, images, logits)
        loss = training_loss(labels, logits)
        added = summed(losses if keep_added else [], loss.dtype)
    gradient = _dense(connected_gradient(tape, loss, weights))
    of_added = _dense(connected_gradient(tape, added, weights)) if keep_added and losses else None
    return Pass(loss, accuracy(labels, logits), gradient, state, logits, added, of_added)


def _dense(gradient: Tensors) -> Tensors:
    return [tf.convert_to_tensor(g) for g in gradient]  # an embedding's is sparse


def connected_gradient(
    tape: tf.GradientTape, loss: tf.Tensor, weights: Sequence[tf.Tensor | keras.Variable]
) -> Tensors:
    """Return the gradient of a loss, zero for weights that it does not depend on."""
    # UnconnectedGradients.ZERO fails on variables that several devices mirror.
    gradient = tape.gradient(loss, weights)
    return [tf.zeros(w.shape, w.dtype) if g is None else g for g, w in zip(gradient, weights, strict=True)]


def values_of(variables: Iterable[keras.Variable]) -> Tensors:
    """Return the values of Keras variables as tensors."""
    return [tf.convert_to_tensor(variable.value) for variable in variables]
