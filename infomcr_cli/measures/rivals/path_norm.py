"""Norm over the paths of the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infomcr_cli.measures.rivals.shared import JIANG, Found, register_rival

if TYPE_CHECKING:
    from infomcr_cli.measures.minimum import Minimum


@register_rival(
    name="path_norm",
    formula="½ ln Σ_k f(1; w²)_k, batch norm folded",
    source=f"Neyshabur et al., COLT 2015, arXiv:1503.00036; {JIANG}",
    unit="ln",
    direction="lower",
    cost="one forward pass of one image in float64",
    needs=("a rectified network",),
    suite="fast",
)
def path_norm(at: Minimum) -> Found:
    """Return the logarithm of the norm."""
    from infomcr_cli.measures.path_norm import log_path_norm

    return Found(log_path_norm(at.model))
