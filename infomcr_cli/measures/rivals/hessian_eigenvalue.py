"""Largest eigenvalues of the Hessian of the training loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infomcr_cli.measures.lanczos import largest_eigenvalues
from infomcr_cli.measures.rivals.shared import IMAGES, Found, register_rival

if TYPE_CHECKING:
    from infomcr_cli.measures.minimum import Minimum

RELATIVE = 1e-2  # accuracy asked of each eigenvalue


@register_rival(
    name="hessian_eigenvalue",
    formula="λ_max(∇²L), Lanczos",
    source="Lehoucq et al., ARPACK, SIAM 1998; as a measure: Keskar et al., ICLR 2017, arXiv:1609.04836",
    unit="nats",
    direction="lower",
    cost="at most about curvature.products Hessian-vector products over the samples",
    needs=(IMAGES,),
    settings=("samples", "curvature.eigenvalues", "curvature.products"),
)
def hessian_eigenvalue(at: Minimum) -> Found:
    """Return the largest eigenvalue, with all that were found and the residual that bounds the error of each."""
    settings, surface = at.config.curvature, at.surface
    values, residuals = largest_eigenvalues(
        surface.hessian_product,
        surface.size,
        count=settings.eigenvalues,
        tolerance=RELATIVE,
        seed=at.seed,
        products=settings.products,
    )
    if not len(values):
        return Found(None, extras={"reason": f"no eigenvalue converged in {settings.products} products"})
    return Found(float(values[0]), extras={"eigenvalues": values.tolist(), "residuals": residuals.tolist()})
