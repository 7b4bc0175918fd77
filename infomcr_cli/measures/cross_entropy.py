"""Cross-entropy of logits and its derivative, free of cancellation and underflow, in float64.

For the true class y and p = softmax(z), ∂ℓ/∂z_k = p_k for k ≠ y and ∂ℓ/∂z_y = -Σ_{k≠y} p_k. Written as a unit vector
and the logarithm of a length it survives any confidence: a loss of 1e-300 still has a direction.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

EPSILON = 2.0**-52  # of float64


class LossDerivative(NamedTuple):
    """Cross-entropy and its derivative with respect to the logits.

    Args:
        loss:       ℓ_i, nats, [N], float64.
        direction:  unit vector along ∂ℓ_i/∂z_i, [N, C], float64.
        log_length: ln ‖∂ℓ_i/∂z_i‖, [N], float64.
    """

    loss: tf.Tensor
    direction: tf.Tensor
    log_length: tf.Tensor


def loss_derivative(logits: tf.Tensor, labels: tf.Tensor, logit_scale: float | None = None) -> LossDerivative:
    """Return the loss at the true labels and its derivative.

    Args:
        logits:      [N, C], any float type, C ≥ 2.
        labels:      true classes, [N], integers in 0..C-1.
        logit_scale: s; if given, the loss is that of z / (‖z‖ s), and the derivative is taken through the division. A
                     sample that cannot be divided (z = 0), or whose derivative is along z up to rounding, has a zero
                     row.
    """
    logits = tf.cast(logits, tf.float64)
    if logit_scale is None:
        return _raw(logits, labels)
    norm = tf.norm(logits, axis=1, keepdims=True)  # [N, 1]
    unit = tf.math.divide_no_nan(logits, norm)
    inner = _raw(unit / logit_scale, labels)
    # z / ‖z‖ does not change along z, so that part of the derivative is 0: [N, C].
    tangent = inner.direction - unit * tf.reduce_sum(unit * inner.direction, axis=1, keepdims=True)
    length = tf.norm(tangent, axis=1)
    # [N]: what rounding leaves of a tangent that is 0 has no direction.
    has_one = (length > logits.shape[1] * EPSILON) & (norm[:, 0] > 0)
    length = tf.where(has_one, length, 0.0)
    scale = tf.where(has_one, norm[:, 0] * logit_scale, 1.0)
    log_length = inner.log_length + tf.math.log(length) - tf.math.log(scale)
    return LossDerivative(inner.loss, tf.math.divide_no_nan(tangent, length[:, None]), log_length)


def _raw(logits: tf.Tensor, labels: tf.Tensor) -> LossDerivative:
    """Return the derivative at the given logits, with the exponential of the largest wrong logit factored out."""
    is_true = tf.one_hot(labels, logits.shape[1], on_value=True, off_value=False, dtype=tf.bool)
    true_logit = tf.reduce_sum(tf.where(is_true, logits, 0.0), axis=1)
    wrong = tf.where(is_true, tf.constant(float("-inf"), tf.float64), logits)  # [N, C]
    top = tf.reduce_max(wrong, axis=1)  # [N]
    ratios = tf.exp(wrong - top[:, None])  # 0 at the true class
    total = tf.reduce_sum(ratios, axis=1)
    # ln(1 + Σ_{k≠y} e^(z_k - z_y)): -ln p_y would lose the digits of a small loss.
    loss = tf.math.softplus(top - true_logit + tf.math.log(total))
    vector = tf.where(is_true, -total[:, None], ratios)
    length = tf.norm(vector, axis=1)
    return LossDerivative(loss, vector / length[:, None], top - true_logit - loss + tf.math.log(length))


Array = NDArray[np.float64]


def mean_loss(logits: Array, labels: NDArray[np.int32]) -> float:
    """Return the mean cross-entropy of logits [N, C] at true classes [N], nats."""
    return float(np.mean(sample_losses(logits, labels)))


def sample_losses(logits: Array, labels: NDArray[np.int32]) -> Array:
    """Return the cross-entropy of each sample, nats, [N], of logits [N, C] at true classes [N].

    ln(1 + Σ_{k≠y} exp(z_k - z_y)) keeps its digits however small it is.
    """
    rows = np.arange(len(labels))
    with np.errstate(invalid="ignore"):  # logits that are not finite give NaN, which the callers report
        surplus = logits - logits[rows, labels][:, None]
        own = surplus[rows, labels]  # 0, or NaN if the logit is infinite
        surplus[rows, labels] = -np.inf
        losses: Array = np.logaddexp(0.0, np.logaddexp.reduce(surplus, axis=1)) + own
    return losses


def tensor_losses(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Return what `sample_losses` does as a function that can be differentiated twice, [N].

    The derivative at the true class is the sum of the others, not a difference of numbers near 1.

    Args:
        logits: [N, C], float64.
        labels: true classes, [N].
    """
    is_true = tf.one_hot(labels, logits.shape[1], on_value=True, off_value=False, dtype=tf.bool)
    true_logit = tf.reduce_sum(tf.where(is_true, logits, 0.0), axis=1)
    wrong = tf.where(is_true, tf.constant(float("-inf"), tf.float64), logits)
    return tf.math.softplus(tf.reduce_logsumexp(wrong, axis=1) - true_logit)


def accuracy(logits: Array, labels: NDArray[np.int32]) -> float:
    """Return the share of samples whose greatest logit is at their label, 0..1."""
    return float(np.mean(np.argmax(logits, axis=1) == labels))
