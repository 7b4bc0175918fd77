"""Rise of the loss after one ascent step, the form of SAM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infomcr_cli.measures.ascent import ascent_sharpness
from infomcr_cli.measures.estimate import standard_error
from infomcr_cli.measures.rivals.shared import IMAGES, Found, register_rival

if TYPE_CHECKING:
    from infomcr_cli.measures.minimum import Minimum


@register_rival(
    name="sharpness",
    formula="mean_m L_m(w + ρ g_m/‖g_m‖) − L_m(w)",
    source="Foret et al., ICLR 2021, arXiv:2010.01412",
    unit="nats",
    direction="lower",
    cost="one forward and backward and one forward pass over the samples",
    needs=(IMAGES,),
    settings=("samples", "sharpness.rho", "sharpness.sub_batch"),
    suite="standard",
)
def sharpness(at: Minimum) -> Found:
    """Return the mean over sub-batches with its standard error."""
    settings = at.config.sharpness
    rises = ascent_sharpness(at.surface, rho=settings.rho, size=settings.sub_batch, adaptive=False)
    error = standard_error(rises) if len(rises) > 1 else None
    return Found(float(rises.mean()), error, {"sub_batches": len(rises)}, estimates=len(rises))
