"""Sharpness-aware minimization (SAM): take the gradient where the loss is highest near the weights.

    for each sub-batch m:  g_m = ∇L_m(w),   ε_m = ρ g_m / ‖g_m‖     # a constant
    value    = mean_m (L_m(w + ε_m) - L_m(w))
    gradient = mean_m (∇L_m(w + ε_m) - g_m)     # with the main gradient mean_m g_m: the gradient at w + ε

With M sub-batches each has an ε of its own: the paper's m-sharpness, m = B / M. Weight decay is left out of L, as in
the paper's statement of the objective.

Source: Foret et al., ICLR 2021, arXiv:2010.01412.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from infomcr_cli.training.regularizers.base import RegularizerTerm
from infomcr_cli.training.regularizers.perturbation import normalized_ascent, perturbed_gradients

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class SAM:
    """Sharpness-aware minimization (Foret et al., 2021). Moving statistics are updated in the passes at w.

    Args:
        num_sub_batches: M; must divide the batch.
        rho:             ρ, norm of ε over all weights; 0 gives exactly the plain step.
    """

    num_sub_batches: int = 1
    rho: float = 0.05

    @property
    def is_active(self) -> bool:
        """Whether there is an ε."""
        return self.rho != 0

    def __call__(self, model: keras.Model, images: Any, labels: Any) -> RegularizerTerm:
        """Return the sharpness, and what turns the gradient at w into that at w + ε."""
        found = perturbed_gradients(
            model,
            images,
            labels,
            num_sub_batches=self.num_sub_batches,
            perturbation=normalized_ascent(self.rho),
            keep_main=True,
        )
        return RegularizerTerm(-found.loss_decrease, [-d for d in found.difference], found.main)
