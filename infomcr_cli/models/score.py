"""Score a network on a whole split: loss and accuracy, in inference mode."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from infomcr_cli.models.keras_internals import full_precision
from infomcr_cli.models.traced import Traced


@dataclass(frozen=True)
class Score:
    """Loss and accuracy of a network on a split.

    Args:
        loss:     mean cross-entropy, nats.
        accuracy: share of images whose highest logit is at their label, 0..1.
    """

    loss: float
    accuracy: float

    @property
    def is_finite(self) -> bool:
        """Whether the loss is a number."""
        return math.isfinite(self.loss)


@dataclass(frozen=True)
class Scorer:
    """Scores a network on batches of images and labels.

    Args:
        sums: images [b, H, W, C] and labels [b] → sum of their losses, which of them are hits [b], loss of each [b].
    """

    sums: Callable[[Any, Any], tuple[Any, Any, Any]]

    def __call__(self, batches: Iterable[Any]) -> Score:
        """Return the score over all batches."""
        return self.with_hits(batches)[0]

    def with_hits(self, batches: Iterable[Any]) -> tuple[Score, np.ndarray]:
        """Return the score over all batches, and whether each image is classified correctly, bool [n]."""
        loss, hits, count, found = 0.0, 0, 0, []
        for images, labels in batches:
            batch_loss, batch_hits, _ = self.sums(images, labels)  # a scalar, [b]
            found.append(np.atleast_1d(np.asarray(batch_hits)))
            loss, hits, count = loss + float(batch_loss), hits + int(found[-1].sum()), count + len(labels)
        return Score(loss / count, hits / count), np.concatenate(found).astype(bool)

    def losses(self, images: Any, labels: Any) -> NDArray[np.float64]:
        """Return the loss of each sample of one batch, nats, [b]."""
        return np.asarray(self.sums(images, labels)[2], np.float64)


def _signature(model: keras.Model) -> list[tf.TensorSpec] | None:
    """Return a signature with which one trace serves any number of images; None for other kinds of input."""
    shape = getattr(model, "input_shape", None)  # a subclassed model has none
    if not isinstance(shape, tuple) or len(shape) != 4:
        return None
    return [tf.TensorSpec((None, *shape[1:]), tf.float32), tf.TensorSpec((None,), tf.int32)]


def make_scorer(model: keras.Model) -> Scorer:
    """Return a scorer of `model`, compiled once for every batch size, in the precision of its weights."""

    def sums(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        # In the scope, variables that a layer changes at inference keep their values.
        with full_precision(model), keras.StatelessScope() if model.built else nullcontext():
            logits = tf.cast(model(images, training=False), tf.float64)  # [b, C]
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)  # [b]
        hits = tf.equal(tf.argmax(logits, -1, tf.int32), labels)  # [b]
        return tf.reduce_sum(losses), hits, losses

    return Scorer(Traced(sums, _signature(model)))
