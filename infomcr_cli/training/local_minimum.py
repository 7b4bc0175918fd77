"""The regularizer of the study: Jia & Su, ICML 2020, arXiv:1911.08192.

For each of M sub-batches, on cross-entropy alone and with the sub-batch's own batch statistics,

    g_m = ∇L_m(w),   w' = w - α g_m,   R = mean_m (L_m(w) - L_m(w')),

and the surrogate of its gradient, w' taken as a constant, is mean_m (g_m - ∇L_m(w')).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from infomcr_cli.errors import InputError
from infomcr_cli.training.passes import Tensors, stateless_gradient

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class LocalMinimum:
    """Settings of the regularizer; β times its value is what is added to the loss.

    Args:
        num_sub_batches: M; must divide the batch.
        alpha:           α, length of the probing step.
        beta:            β, weight of the penalty; 0 gives exactly the plain step.
    """

    num_sub_batches: int = 8
    alpha: float = 1e-4
    beta: float = 10.0

    def penalty(self, model: keras.Model, images: Any, labels: Any) -> tuple[tf.Tensor, Tensors]:
        """Return R and its surrogate gradient, neither multiplied by β."""
        return local_minimum_penalty(model, images, labels, num_sub_batches=self.num_sub_batches, alpha=self.alpha)


def local_minimum_penalty(
    model: keras.Model, images: Any, labels: Any, *, num_sub_batches: int, alpha: float
) -> tuple[tf.Tensor, Tensors]:
    """Return R and its surrogate gradient, one tensor for each of `model.trainable_variables`.

    Neither weights nor moving statistics change. Works eagerly and inside a `tf.function`; the 2M passes are
    one loop whose body is traced once.

    Args:
        images:          standardised, [B, H, W, C].
        labels:          integers [B], or class weights [B, classes].
        num_sub_batches: M; must divide B.
        alpha:           α > 0.
    Raises:  InputError: M does not divide B.
    Source:  Jia & Su, 2020.
    """
    parts = _split(tf.convert_to_tensor(images), num_sub_batches), _split(tf.convert_to_tensor(labels), num_sub_batches)
    weights = [tf.convert_to_tensor(variable.value) for variable in model.trainable_variables]
    state = [tf.convert_to_tensor(variable.value) for variable in model.non_trainable_variables]

    def probe(i: tf.Tensor, value: tf.Tensor, probed: Tensors, total: Tensors) -> tuple[Any, ...]:
        # Even passes stand at w and leave g_m behind; odd ones stand at w - α g_m. One body, so one trace.
        moved = i % 2
        here = [w - tf.cast(alpha, w.dtype) * g for w, g in zip(weights, probed, strict=True)]
        loss, gradient = stateless_gradient(model, here, state, parts[0][i // 2], parts[1][i // 2])
        odd = [tf.cast(moved, g.dtype) for g in gradient]
        # The two gradients differ little: subtract them before they meet the sum.
        total = [t + o * (p - g) for t, o, p, g in zip(total, odd, probed, gradient, strict=True)]
        probed = [(1 - o) * g for o, g in zip(odd, gradient, strict=True)]
        return i + 1, value + tf.cast(1 - 2 * moved, loss.dtype) * loss, probed, total

    zeros = [tf.zeros_like(w) for w in weights]
    start = (tf.constant(0), tf.zeros((), _loss_dtype(model)), zeros, zeros)
    _, value, _, total = tf.while_loop(
        lambda i, *_: i < 2 * num_sub_batches,
        probe,
        start,
        parallel_iterations=1,
        maximum_iterations=2 * num_sub_batches,
    )
    return value / num_sub_batches, [t / num_sub_batches for t in total]


def _loss_dtype(model: keras.Model) -> tf.DType:
    return tf.float64 if model.compute_dtype == "float64" else tf.float32


def _split(batch: tf.Tensor, parts: int) -> tf.Tensor:
    """Reshape [B, ...] to [parts, B / parts, ...]."""
    size = batch.shape[0]
    if size is not None and size % parts:
        raise InputError("num_sub_batches must divide the batch", received=f"{parts} sub-batches of {size} images")
    return tf.reshape(batch, tf.concat([[parts, tf.shape(batch)[0] // parts], tf.shape(batch)[1:]], 0))
