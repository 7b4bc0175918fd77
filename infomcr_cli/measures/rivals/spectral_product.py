"""Product of the spectral norms of all layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infomcr_cli.measures.rivals.shared import FOLDABLE, JIANG, Found, register_rival

if TYPE_CHECKING:
    from infomcr_cli.measures.minimum import Minimum


@register_rival(
    name="spectral_product",
    formula="Σ_l ln ‖W_l‖₂², of the operators on feature maps, batch norm folded",
    source=f"{JIANG}; the operator's norm: Gouk et al., 2021, arXiv:1804.04368",
    unit="ln",
    direction="lower",
    cost="some 30 applications of each convolution to one image",
    needs=(FOLDABLE,),
)
def spectral_product(at: Minimum) -> Found:
    """Return the logarithm of the product of squared norms."""
    return Found(at.log_spectral)
