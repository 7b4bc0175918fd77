"""Product of the Frobenius norms of all layers over the margin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infomcr_cli.measures.rivals.shared import FOLDABLE, IMAGES, JIANG, Found, register_rival, with_margin

if TYPE_CHECKING:
    from infomcr_cli.measures.minimum import Minimum


@register_rival(
    name="frobenius_product_over_margin",
    formula="Σ_l ln ‖W_l‖_F² − 2 ln margin, batch norm folded",
    source=JIANG,
    unit="ln",
    direction="lower",
    cost="one forward pass over the samples, shared with margin",
    needs=(FOLDABLE, IMAGES),
    settings=("samples",),
    suite="fast",
)
def frobenius_product_over_margin(at: Minimum) -> Found:
    """Return the logarithm of the product of squared norms over the squared 10th-percentile margin."""
    return with_margin(at.log_frobenius, at)
