"""Worst-case sharpness: how high the loss rises within a small box around the minimum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, minimize

if TYPE_CHECKING:
    from infomcr_cli.measures.surface import LossSurface

Array = NDArray[np.float64]


def worst_case_sharpness(surface: LossSurface, *, epsilon: float, iterations: int) -> float:
    """Return 100·(max L(w + z) - L(w)) / (1 + L(w)) over |z_i| ≤ ε(|w_i| + 1), percent.

    The maximum is sought by L-BFGS-B for a bounded number of iterations, as in the source, so what is
    returned is a lower bound of it; the start is one signed gradient step to the corner of the box, where a loss that
    is linear within the box has its maximum.

    Args:
        epsilon:    ε, half-width of the box in relative units.
        iterations: of L-BFGS-B; each takes one to two passes over all samples.
    Source:  Keskar et al., 2017, arXiv:1609.04836, metric 2.1 with A = I.
    """
    base, gradient = surface.loss_and_gradient(surface.weights)
    width = epsilon * (np.abs(surface.weights) + 1.0)
    highest = base

    def descent(step: Array) -> tuple[float, Array]:
        nonlocal highest
        loss, slope = surface.loss_and_gradient(surface.weights + width * step)
        highest = max(highest, loss)
        return -loss, -width * slope

    minimize(
        descent,
        np.sign(gradient),
        jac=True,
        method="L-BFGS-B",
        bounds=Bounds(-1.0, 1.0),
        options={"maxiter": iterations, "maxfun": 2 * iterations},
    )
    return 100.0 * (highest - base) / (1.0 + base)
