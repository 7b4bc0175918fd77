"""The regularizer of the study: Jia & Su, ICML 2020, arXiv:1911.08192.

For each of M sub-batches, on cross-entropy alone and with the sub-batch's own batch statistics,

    g_m = ∇L_m(w),   w' = w - α g_m,   R = mean_m (L_m(w) - L_m(w')),

and the surrogate of its gradient, w' taken as a constant, is mean_m (g_m - ∇L_m(w')).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from infomcr_cli.training.gradients import Tensors, checked_labels
from infomcr_cli.training.regularizers.base import RegularizerTerm
from infomcr_cli.training.regularizers.perturbation import Perturbation, perturbed_gradients

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class LocalMinimum:
    """The regularizer with its settings; β times its value is what is added to the loss.

    Args:
        num_sub_batches: M; must divide the batch.
        alpha:           α, length of the probing step.
        beta:            β, weight of the penalty; 0 gives exactly the plain step.
        share_pass:      the main gradient is the mean of the g_m, so that there is no main pass: each image then meets
                         the batch statistics of its sub-batch (ghost batch norm), a variant of the study's step.
    """

    num_sub_batches: int = 8
    alpha: float = 1e-4
    beta: float = 10.0
    share_pass: bool = False

    @property
    def is_active(self) -> bool:
        """Whether there is a penalty."""
        return self.beta != 0

    def __call__(self, model: keras.Model, images: Any, labels: Any) -> RegularizerTerm:
        """Return R and β times its surrogate gradient."""
        found = perturbed_gradients(
            model,
            images,
            labels,
            num_sub_batches=self.num_sub_batches,
            move=_gradient_step(self.alpha),
            keep_main=self.share_pass,
        )
        return RegularizerTerm(found.drop, [self.beta * d for d in found.difference], found.main)


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

    Raises:
        InputError: M does not divide B, or labels are not classes of the model.

    Source:  Jia & Su, 2020.
    """
    labels = checked_labels(model, labels)
    found = perturbed_gradients(model, images, labels, num_sub_batches=num_sub_batches, move=_gradient_step(alpha))
    return found.drop, found.difference


def _gradient_step(alpha: float) -> Perturbation:
    return lambda gradient: [-tf.constant(alpha, g.dtype) * g for g in gradient]
