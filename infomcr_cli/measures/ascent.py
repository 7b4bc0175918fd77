"""Sharpness in the form of SAM: the rise of the loss of a sub-batch after one ascent step, plain or scale-invariant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from infomcr_cli.measures.surface import LossSurface

Array = NDArray[np.float64]


def ascent_sharpness(surface: LossSurface, *, rho: float, size: int, adaptive: bool) -> Array:
    """Return L_m(w + δ_m) - L_m(w) of each sub-batch m of `size` consecutive samples, nats, [⌊N/size⌋].

    With g = ∇L_m(w): δ = ρ g / ‖g‖, or adaptive δ = ρ T² g / ‖T g‖, T = diag |w|. Adaptive sharpness does not change
    when a rectified layer is multiplied by c and the next one by 1/c.

    Args:
        rho:  ρ, length of the step, in the units of w; of w/|w| where adaptive.
        size: m; sharpness of smaller sub-batches follows generalization more closely.
    Source:  Foret et al., 2021, arXiv:2010.01412; Kwon et al., 2021, arXiv:2102.11600 (adaptive, η = 0);
             Andriushchenko et al., 2023, arXiv:2302.07011.
    """
    rises = []
    for indices in surface.sub_batches(size):
        before, gradient = surface.loss_and_gradient(surface.weights, indices)
        step = ascent_step(surface.weights, gradient, rho=rho, adaptive=adaptive)
        rises.append(surface.loss(surface.weights + step, indices) - before)
    return np.asarray(rises)


def ascent_step(weights: Array, gradient: Array, *, rho: float, adaptive: bool) -> Array:
    """Return the step δ [W] that raises the linearised loss most within its ball; 0 where the gradient is 0."""
    scale = np.abs(weights) if adaptive else np.ones_like(weights)
    length = float(np.linalg.norm(scale * gradient))
    return rho * scale**2 * gradient / length if length > 0 else np.zeros_like(weights)
