"""How high the loss rises in a box around the minimum."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infomcr_cli.measures.rivals.shared import IMAGES, Found, register_rival
from infomcr_cli.measures.worst_case import worst_case_sharpness as highest_rise

if TYPE_CHECKING:
    from infomcr_cli.measures.minimum import Minimum


@register_rival(
    name="worst_case_sharpness",
    formula="100 (max L(w + z) − L(w)) / (1 + L(w)), |z_i| ≤ ε(|w_i| + 1)",
    source="Keskar et al., ICLR 2017, arXiv:1609.04836, metric 2.1",
    unit="percent",
    direction="lower",
    cost="one to two forward and backward passes over the samples for each iteration",
    needs=(IMAGES,),
    settings=("samples", "sharpness.epsilon", "sharpness.iterations"),
)
def worst_case_sharpness(at: Minimum) -> Found:
    """Return a lower bound of the maximum: the best of a bounded search."""
    settings = at.config.sharpness
    return Found(highest_rise(at.surface, epsilon=settings.epsilon, iterations=settings.iterations))
