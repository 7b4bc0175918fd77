"""A penalty on mean_m ‖g_m‖², g_m = ∇L_m(w) of sub-batch m, differentiated exactly by a second backward pass.

The study's regularizer is its finite difference: R ≈ α·mean‖g_m‖² and its surrogate tends to ½∇(α·mean‖g_m‖²), so that
β there is αβ/2 here. E‖g_m‖² = ‖∇L‖² + tr(Σ)/b, with Σ the covariance of per-sample gradients and b the images of a
sub-batch, ties it to the trace of the empirical Fisher information, that of the true labels; Jastrzębski et al., ICML
2021, arXiv:2012.14193, penalise the trace for labels that the network draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from infomcr_cli.training.gradients import (
    PARALLEL_SUB_BATCHES,
    GradientAccumulator,
    Tensors,
    connected_gradient,
    in_parts,
    next_index,
    stateless_pass,
    values_of,
    with_rng_state,
    zero_loss,
)
from infomcr_cli.training.regularizers.base import RegularizerTerm

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class FisherTrace:
    """The penalty with its settings.

    Args:
        num_sub_batches: M; must divide the batch.
        beta:            β, weight of mean‖g_m‖²; 0 gives exactly the plain step.
        share_pass:      the main gradient is the mean of the g_m (ghost batch norm): there is no main pass.
    """

    num_sub_batches: int = 8
    beta: float = 5e-4
    share_pass: bool = False

    @property
    def is_active(self) -> bool:
        """Whether there is a penalty."""
        return self.beta != 0

    def __call__(self, model: keras.Model, images: Any, labels: Any) -> RegularizerTerm:
        """Return mean_m ‖g_m‖² and β times its exact gradient."""
        count = self.num_sub_batches
        parts = in_parts(images, count), in_parts(labels, count)
        weights, state = values_of(model.trainable_variables), values_of(model.non_trainable_variables)

        def body(i: tf.Tensor, state: Tensors, value: tf.Tensor, gradient: Tensors, main: Any) -> tuple[Any, ...]:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(weights)
                found = stateless_pass(
                    model, weights, state, parts[0][i], parts[1][i], twice=True, keep_added=self.share_pass
                )
                square = _squared_norm(found.gradient)
            second = connected_gradient(tape, square, weights)
            gradient = [total + g for total, g in zip(gradient, second, strict=True)]
            main = main.plus(found) if self.share_pass else main
            return next_index(i, found), with_rng_state(state, found.state), value + square, gradient, main

        zeros = [tf.zeros_like(w) for w in weights]
        start = GradientAccumulator.zero(model, weights, state) if self.share_pass else ()
        *_, value, gradient, main = tf.while_loop(
            lambda i, *_: i < count,
            body,
            (tf.constant(0), state, zero_loss(model), zeros, start),
            parallel_iterations=PARALLEL_SUB_BATCHES,
            maximum_iterations=count,
        )
        shared = main.mean(count) if self.share_pass else None
        return RegularizerTerm(value / count, [self.beta / count * g for g in gradient], shared)


def _squared_norm(gradient: Tensors) -> tf.Tensor:
    return tf.add_n([tf.reduce_sum(tf.square(g)) for g in gradient])
