"""Relative flatness of the last layer: its curvature, made independent of how the network is scaled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.measures.base import IMAGES, register_measure
from infomcr_cli.measures.families import SAME_FUNCTION
from infomcr_cli.measures.value import MeasureValue
from infomcr_cli.measures.work import Work

if TYPE_CHECKING:
    from infomcr_cli.measures.context import MeasureContext
    from infomcr_cli.measures.loss_surface import LossSurface


Array = NDArray[np.float64]


def closed_form_flatness(kernel: Array, features: Array, logits: Array) -> float:
    """Return κ = Σ_ss' ⟨w_s, w_s'⟩ tr H_ss' for a last layer z = W φ + b under cross-entropy.

    H_ss' = mean_i p_is (δ_ss' - p_is') φ_i φ_iᵀ is the Hessian's block of rows s and s' of W. So κ is the mean of
    ‖φ_i‖² times the variance of the rows of W under p_i, in closed form.

    Args:
        kernel: Wᵀ, [F, C].
        features: φ, [N, F].
        logits: z, [N, C].

    Source:
        Petzka et al., 2021, arXiv:2001.00939 (trace form).

    Examples:
        >>> import numpy as np
        >>> closed_form_flatness(np.array([[1.0, -1.0]]), np.ones((1, 1)), np.zeros((1, 2)))
        1.0
    """
    from scipy.special import softmax

    p = softmax(logits, axis=1)  # [N, C]
    centre = p @ kernel.T  # [N, F]
    # ‖w_s − centre_i‖²; class by class, since all differences would be [N, C, F].
    distances = np.stack([np.sum((row - centre) ** 2, axis=1) for row in kernel.T], axis=1)  # [N, C]
    return float(np.mean(np.sum(features**2, axis=1) * np.sum(p * distances, axis=1)))


def relative_flatness_of(surface: LossSurface) -> float:
    """Return κ of the last layer of a network.

    Raises:
        InputError: the logits are not the output of a Dense layer.
    """
    from infomcr_cli.measures.last_layer import last_layer

    return closed_form_flatness(*last_layer(surface))


@register_measure(
    name="relative_flatness",
    formula="Σ_ss' ⟨w_s, w_s'⟩ tr H_ss', rows s, s' of the last layer",
    source="Petzka et al., NeurIPS 2021, arXiv:2001.00939",
    family="curvature",
    invariance=SAME_FUNCTION,
    unit="nats",
    direction="lower",
    cost="one forward pass over the samples",
    passes=lambda config: Work(forward=config.samples, functions=0.5),
    needs=(IMAGES, "a dense last layer"),
    settings=("samples",),
    suite="standard",
    free=True,
)
def relative_flatness(ctx: MeasureContext) -> MeasureValue:
    """Return κ in closed form; low values are flat."""
    return MeasureValue(relative_flatness_of(ctx.surface))
