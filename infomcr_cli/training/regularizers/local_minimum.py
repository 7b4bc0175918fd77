"""The regularizer of the study: a penalty on how far a small gradient step lowers the loss.

    for each sub-batch m:  g_m = ∇L_m(w),   w'_m = w - α g_m     # a constant
    value    = R = mean_m (L_m(w) - L_m(w'_m))                   # ≈ α mean_m ‖g_m‖²
    gradient = β mean_m (g_m - ∇L_m(w'_m))                       # the surrogate gradient of R

L_m is cross-entropy alone, without weight decay, with the sub-batch's own batch statistics.

Source: Jia & Su, ICML 2020, arXiv:1911.08192.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from infomcr_cli.training.gradients import Tensors, checked_labels
from infomcr_cli.training.regularizers.base import RegularizerTerm
from infomcr_cli.training.regularizers.perturbation import gradient_step, perturbed_gradients

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class LocalMinimum:
    """The local-minimum regularizer of Jia & Su (2020); β times its value is added to the loss.

    Args:
        num_sub_batches: M; must divide the batch.
        alpha:           α, size of the probing gradient step.
        beta:            β, weight of the penalty; 0 gives exactly the plain step.
        share_pass:      use the mean of the g_m as the main gradient, which saves the main pass. Each image then uses
                         the batch statistics of its sub-batch (ghost batch norm): a variant of the study's step.
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
            perturbation=gradient_step(self.alpha),
            keep_main=self.share_pass,
        )
        return RegularizerTerm(found.loss_decrease, [self.beta * d for d in found.difference], found.main)


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

    Source: Jia & Su, 2020.
    """
    labels = checked_labels(model, labels)
    found = perturbed_gradients(
        model, images, labels, num_sub_batches=num_sub_batches, perturbation=gradient_step(alpha)
    )
    return found.loss_decrease, found.difference
