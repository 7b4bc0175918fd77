"""Product of the Frobenius norms of all layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infomcr_cli.measures.rivals.shared import FOLDABLE, JIANG, Found, register_rival

if TYPE_CHECKING:
    from infomcr_cli.measures.minimum import Minimum


@register_rival(
    name="frobenius_product",
    formula="Σ_l ln ‖W_l‖_F², batch norm folded",
    source=f"Neyshabur et al., COLT 2015, arXiv:1503.00036; {JIANG}",
    unit="ln",
    direction="lower",
    cost="none",
    needs=(FOLDABLE,),
    suite="fast",
)
def frobenius_product(at: Minimum) -> Found:
    """Return the logarithm of the product of squared norms."""
    return Found(at.log_frobenius)
