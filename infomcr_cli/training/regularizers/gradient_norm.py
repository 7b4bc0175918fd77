"""A penalty on the norm of the gradient: Zhao et al., ICML 2022, arXiv:2202.03599.

The objective is L(w) + λ‖∇L(w)‖. Its gradient needs a product with the Hessian, taken as a finite difference:

    (1 - α) ∇L(w) + α ∇L(w + r g/‖g‖),   g = ∇L(w),   α = λ/r.

With α = 1 that is SAM with ρ = r. Weight decay is left out of L.
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
    """The penalty with its settings. Moving statistics are those of the passes at w.

    Args:
        num_sub_batches: M; must divide the batch. The penalty is the mean of the sub-batches'.
        radius:          r, length of the probing step over all weights.
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
        """Return the slope mean_m (L_m(w + r g/‖g‖) - L_m(w)) / r ≈ mean_m ‖g_m‖, and λ times its gradient."""
        found = perturbed_gradients(
            model,
            images,
            labels,
            num_sub_batches=self.num_sub_batches,
            move=normalized_ascent(self.radius),
            keep_main=True,
        )
        return RegularizerTerm(-found.drop / self.radius, [-self.alpha * d for d in found.difference], found.main)
