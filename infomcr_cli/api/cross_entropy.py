"""The loss of a `RegularizedModel`: mean cross-entropy of logits, at labels of any form."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from infomcr_cli.errors import InputError

_ADVICE = "Omit loss, or pass SparseCategoricalCrossentropy(from_logits=True)."


@keras.saving.register_keras_serializable(package="infomcr")
class CrossEntropy(keras.losses.Loss):
    """Cross-entropy of logits [b, C] at class indices [b] or [b, 1], or at class probabilities [b, C], nats.

    Args:
        label_smoothing: share of each label that is spread evenly over all classes.
    """

    def __init__(self, label_smoothing: float = 0.0, name: str = "cross_entropy", **options: Any) -> None:
        super().__init__(name=name, **options)
        self.label_smoothing = label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each sample, [b]."""
        if len(y_true.shape) == 2 and y_true.shape[1] != 1:
            losses = tf.nn.softmax_cross_entropy_with_logits(y_true, y_pred)  # [b]
        else:  # TensorFlow refuses an index that is no class; a one-hot row of zeros would count as no loss
            indices = tf.cast(tf.reshape(y_true, [-1]), tf.int64)  # [b]
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(indices, y_pred)  # [b]
        uniform = tf.reduce_logsumexp(y_pred, axis=1) - tf.reduce_mean(y_pred, axis=1)  # at a label of 1/C for each
        return (1 - self.label_smoothing) * losses + self.label_smoothing * uniform if self.label_smoothing else losses

    def get_config(self) -> dict[str, Any]:
        """Return the configuration that a saved file contains."""
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


def label_smoothing_of(loss: Any) -> float:
    """Return the label smoothing of a loss; raise InputError unless the loss is mean cross-entropy of logits."""
    if loss is None or isinstance(loss, CrossEntropy):
        return getattr(loss, "label_smoothing", 0.0)
    kinds = (keras.losses.SparseCategoricalCrossentropy, keras.losses.CategoricalCrossentropy)
    rule = "the loss of a RegularizedModel must be the mean cross-entropy of logits"
    if not isinstance(loss, kinds):
        received = loss if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__)
        raise InputError(rule, received=received, advice=_ADVICE)
    expected = {"from_logits": True, "reduction": "sum_over_batch_size", "ignore_class": None}
    settings = loss.get_config()
    for name, value in expected.items():
        if settings.get(name, value) != value:
            raise InputError(rule, received=f"{name}={settings[name]!r}", advice=_ADVICE)
    return float(settings.get("label_smoothing", 0.0))
