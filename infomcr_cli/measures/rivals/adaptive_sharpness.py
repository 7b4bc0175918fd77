"""Rise of the loss after one ascent step, independent of how the network is scaled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infomcr_cli.measures.ascent import ascent_sharpness
from infomcr_cli.measures.estimate import standard_error
from infomcr_cli.measures.rivals.shared import IMAGES, Found, register_rival

if TYPE_CHECKING:
    from infomcr_cli.measures.minimum import Minimum


@register_rival(
    name="adaptive_sharpness",
    formula="mean_m L_m(w + ρ T²g_m/‖T g_m‖) − L_m(w), T = diag |w|",
    source="Kwon et al., ICML 2021, arXiv:2102.11600; Andriushchenko et al., ICML 2023, arXiv:2302.07011",
    unit="nats",
    direction="lower",
    cost="one forward and backward and one forward pass over the samples",
    needs=(IMAGES,),
    settings=("samples", "sharpness.adaptive_rho", "sharpness.sub_batch"),
    suite="standard",
)
def adaptive_sharpness(at: Minimum) -> Found:
    """Return the mean over sub-batches with its standard error."""
    settings = at.config.sharpness
    rises = ascent_sharpness(at.surface, rho=settings.adaptive_rho, size=settings.sub_batch, adaptive=True)
    error = standard_error(rises) if len(rises) > 1 else None
    return Found(float(rises.mean()), error, {"sub_batches": len(rises)}, estimates=len(rises))
