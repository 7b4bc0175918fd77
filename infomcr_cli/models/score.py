"""Loss and accuracy of a network on a whole split, in inference mode."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from infomcr_cli.models.precision import full_precision


@dataclass(frozen=True)
class Score:
    """How well a network does on a split.

    Args:
        loss:     mean cross-entropy, nats.
        accuracy: share of images whose greatest logit is at their label, 0..1.
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

    Args: sums: images [b, H, W, C] and labels [b] → sum of their losses, and number of hits.
    """

    sums: Callable[[Any, Any], tuple[Any, Any]]

    def __call__(self, batches: Iterable[Any]) -> Score:
        """Return the score over all batches."""
        loss, hits, count = 0.0, 0, 0
        for images, labels in batches:
            batch_loss, batch_hits = self.sums(images, labels)
            loss, hits, count = loss + float(batch_loss), hits + int(batch_hits), count + len(labels)
        return Score(loss / count, hits / count)

    def below(self, ceiling: float, batches: Iterable[Any], count: int) -> Score | None:
        """Return the score over all batches, or None as soon as the mean loss is known to exceed `ceiling`.

        Args: count: images in all batches together.
        """
        loss, hits = 0.0, 0
        for images, labels in batches:
            batch_loss, batch_hits = self.sums(images, labels)
            loss, hits = loss + float(batch_loss), hits + int(batch_hits)
            if loss > ceiling * count:
                return None
        return Score(loss / count, hits / count)


def _signature(model: keras.Model) -> list[tf.TensorSpec] | None:
    """One trace for images of any number; what else a network may take is traced as it comes."""
    shape = model.input_shape
    if not isinstance(shape, tuple) or len(shape) != 4:
        return None
    return [tf.TensorSpec((None, *shape[1:]), tf.float32), tf.TensorSpec((None,), tf.int32)]


def make_scorer(model: keras.Model) -> Scorer:
    """Return a scorer of `model`, compiled once for every batch size, in the precision of its weights."""

    @tf.function(input_signature=_signature(model), autograph=False, reduce_retracing=True)
    def sums(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with full_precision(model):
            logits = tf.cast(model(images, training=False), tf.float64)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        hits = tf.equal(tf.argmax(logits, -1, tf.int32), labels)
        return tf.reduce_sum(losses), tf.reduce_sum(tf.cast(hits, tf.int64))

    return Scorer(sums)
