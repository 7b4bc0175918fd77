"""A penalty on the norm of the gradient: the objective is L(w) + λ‖∇L(w)‖.

Its gradient needs a product with the Hessian, taken as a finite difference along the gradient:

    for each sub-batch m:  g_m = ∇L_m(w),   w'_m = w + r g_m / ‖g_m‖     # a constant
    value    = mean_m (L_m(w'_m) - L_m(w)) / r                           # ≈ mean_m ‖g_m‖
    gradient = α mean_m (∇L_m(w'_m) - g_m),   α = λ / r

With the main gradient that is (1 - α) ∇L(w) + α ∇L(w'). With α = 1 it is SAM with ρ = r. Weight decay is left out of L.

Source: Zhao et al., ICML 2022, arXiv:2202.03599.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from infomcr_cli.training.regularizers.base import RegularizerTerm
from infomcr_cli.training.regularizers.perturbation import normalized_ascent, perturbed_gradients

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class GradientNorm:
    """A penalty on the gradient norm (Zhao et al., 2022). Moving statistics are updated in the passes at w.

    Args:
        num_sub_batches: M; must divide the batch. The penalty is the mean over the sub-batches.
        radius:          r, norm of the perturbation over all weights.
        alpha:           α = λ/r, 0..1; 0 gives exactly the plain step.
    """

    num_sub_batches: int = 1
    radius: float = 0.05
    alpha: float = 0.8

    @property
    def is_active(self) -> bool:
        """Whether there is a penalty."""
        return self.alpha != 0

    def __call__(self, model: keras.Model, images: Any, labels: Any) -> RegularizerTerm:
        """Return the finite difference that approximates mean_m ‖g_m‖, and λ times its gradient."""
        found = perturbed_gradients(
            model,
            images,
            labels,
            num_sub_batches=self.num_sub_batches,
            perturbation=normalized_ascent(self.radius),
            keep_main=True,
        )
        gradient = [-self.alpha * d for d in found.difference]
        return RegularizerTerm(-found.loss_decrease / self.radius, gradient, found.main)
