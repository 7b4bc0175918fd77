"""Curvature of the last layer, independent of how the network is scaled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infomcr_cli.measures.rivals.shared import IMAGES, Found, register_rival

if TYPE_CHECKING:
    from infomcr_cli.measures.minimum import Minimum


@register_rival(
    name="relative_flatness",
    formula="Σ_ss' ⟨w_s, w_s'⟩ tr H_ss', rows s, s' of the last layer",
    source="Petzka et al., NeurIPS 2021, arXiv:2001.00939",
    unit="nats",
    direction="lower",
    cost="one forward pass over the samples",
    needs=(IMAGES, "a dense last layer"),
    settings=("samples",),
    suite="standard",
)
def relative_flatness(at: Minimum) -> Found:
    """Return κ in closed form; low values are flat."""
    from infomcr_cli.measures.relative_flatness import relative_flatness_of

    return Found(relative_flatness_of(at.surface))
