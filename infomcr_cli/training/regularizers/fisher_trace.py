"""A penalty on the squared norm of sub-batch gradients, differentiated exactly by a second backward pass.

    for each sub-batch m:  g_m = ∇L_m(w)
    value    = mean_m ‖g_m‖²
    gradient = β ∇ mean_m ‖g_m‖²                # by the second derivative of L_m

The study's regularizer is its finite difference: R ≈ α·mean‖g_m‖² and its surrogate gradient tends to
½∇(α·mean‖g_m‖²), so that its αβ/2 is β here. E‖g_m‖² = ‖∇L‖² + tr(Σ)/b, with Σ the covariance of per-sample gradients
and b the images of a sub-batch, ties it to the trace of the empirical Fisher information, that of the true labels.

Source: Jastrzębski et al., ICML 2021, arXiv:2012.14193, who penalise the trace for labels that the network draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from infomcr_cli.training.gradients import Tensors, connected_gradient, stateless_pass
from infomcr_cli.training.regularizers.base import RegularizerTerm
from infomcr_cli.training.regularizers.sub_batches import GradientAccumulator, SubBatches, generators_of, next_index

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class FisherTrace:
    """A penalty on the mean squared norm of the sub-batch gradients, differentiated exactly.

    Args:
        num_sub_batches: M; must divide the batch.
        beta:            β, weight of mean‖g_m‖²; 0 gives exactly the plain step.
        share_pass:      use the mean of the g_m as the main gradient (ghost batch norm), which saves the main pass.
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
        batch = SubBatches.split(model, images, labels, count)

        def body(m: tf.Tensor, generators: Tensors, value: tf.Tensor, gradient: Tensors, main: Any) -> tuple[Any, ...]:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(batch.weights)
                images, labels = batch.part(m)
                state = batch.state_from(generators)
                found = stateless_pass(
                    model, batch.weights, state, images, labels, twice=True, keep_added=self.share_pass
                )
                squares = [tf.reduce_sum(tf.square(g)) for g in found.gradient]
                squared_norm = tf.add_n([tf.cast(square, value.dtype) for square in squares] or [tf.zeros_like(value)])
            of_norm = connected_gradient(tape, squared_norm, batch.weights)
            gradient = [total + g for total, g in zip(gradient, of_norm, strict=True)]
            main = main.plus(found, m, batch) if self.share_pass else main
            return next_index(m, found), generators_of(found.state), value + squared_norm, gradient, main

        start = GradientAccumulator.zero(batch, count) if self.share_pass else ()
        value, gradient, main = batch.loop(body, count, batch.zero_loss(), batch.zero_gradient(), start)
        shared = main.mean(count, batch) if self.share_pass else None
        return RegularizerTerm(value / count, [self.beta / count * g for g in gradient], shared)
