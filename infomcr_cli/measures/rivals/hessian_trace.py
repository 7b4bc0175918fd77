"""Trace of the Hessian of the training loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infomcr_cli.measures.hutchplusplus import trace
from infomcr_cli.measures.rivals.shared import IMAGES, Found, register_rival

if TYPE_CHECKING:
    from infomcr_cli.measures.minimum import Minimum


@register_rival(
    name="hessian_trace",
    formula="tr ∇²L, Hutch++",
    source="Meyer et al., SOSA 2021, arXiv:2010.09649",
    unit="nats",
    direction="lower",
    cost="three Hessian-vector products over the samples for each probe",
    needs=(IMAGES,),
    settings=("samples", "curvature.probes"),
)
def hessian_trace(at: Minimum) -> Found:
    """Return an unbiased estimate of the trace with its standard error."""
    surface, probes = at.surface, min(at.config.curvature.probes, at.surface.size)
    value, error = trace(surface.hessian_product, surface.size, probes=probes, seed=at.seed)
    return Found(value, error, estimates=probes if probes > 1 else None)
