"""Product of the spectral norms of all layers over the margin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infomcr_cli.measures.rivals.shared import FOLDABLE, IMAGES, JIANG, Found, register_rival, with_margin

if TYPE_CHECKING:
    from infomcr_cli.measures.minimum import Minimum


@register_rival(
    name="spectral_product_over_margin",
    formula="Σ_l ln ‖W_l‖₂² − 2 ln margin, batch norm folded",
    source=f"Bartlett et al., NeurIPS 2017, arXiv:1706.08498; {JIANG}",
    unit="ln",
    direction="lower",
    cost="that of spectral_product and of margin, shared with them",
    needs=(FOLDABLE, IMAGES),
    settings=("samples",),
)
def spectral_product_over_margin(at: Minimum) -> Found:
    """Return the logarithm of the product of squared norms over the squared 10th-percentile margin."""
    return with_margin(at.log_spectral, at)
