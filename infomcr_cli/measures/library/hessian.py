"""Trace and largest eigenvalues of the Hessian of the loss, from Hessian-vector products only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.config.schema.measure import MeasureConfig
from infomcr_cli.errors import InputError
from infomcr_cli.measures.base import IMAGES, register_measure
from infomcr_cli.measures.krylov import KrylovSpace, Product, krylov_space, trace_outside
from infomcr_cli.measures.value import MeasureValue
from infomcr_cli.measures.work import Work

if TYPE_CHECKING:
    from infomcr_cli.measures.context import MeasureContext


Array = NDArray[np.float64]
ACCURACY = 1e-2  # of each eigenvalue, relative
TINY_LOSS = 1e-20  # nats, below which products with the Hessian may be lost in float32
PARTS = 16  # of the images, at least; each has probes of its own


def largest_eigenvalues(space: KrylovSpace, *, count: int, tolerance: float) -> tuple[Array, Array]:
    """Return the algebraically largest eigenvalues, descending, and the residual norm of each.

    They end before the first one that has not converged: what follows it is not the next largest.

    An eigenvalue lies within ‖A v - λ v‖ of λ, so the residual bounds the error; if other eigenvalues are far away, the
    error is of the order of its square.

    Args:
        space:     of at least two dimensions, or of all.
        count:     how many.
        tolerance: relative accuracy.

    Source:  Saad, Numerical Methods for Large Eigenvalue Problems, 2011, theorem 3.8 (Kato-Temple).
    """
    values, residuals, errors = space.ritz_values(count)
    # An error of 0/0 is NaN, for two equal Ritz values without residual: the residual bounds it.
    converged = np.minimum(residuals, np.nan_to_num(errors, nan=np.inf)) <= tolerance * np.abs(values)
    found = len(values) if converged.all() else int(np.argmin(converged))  # the first that has not converged
    return values[:found], residuals[:found]


def trace(
    product: Product, size: int, *, probes: int, seed: int, parts: Sequence[Product] | None = None
) -> tuple[float, float]:
    """Return an unbiased estimate of tr A and its standard error, from 2·probes products.

    On a Krylov space of A the trace is exact; orthogonal to it Hutchinson's estimator is used, whose spread over the
    probes gives the standard error. The trace of a matrix of rank below `probes` is exact. Hutch++ takes the range of
    a random sketch for the space, and three products for each probe.

    Args:
        product: v -> A v, [size] -> [size], A symmetric.
        probes: at least 2.
        seed: of the random vectors.
        parts: products with matrices whose sum is A; None: A itself.

    Source:  Meyer, Musco, Musco & Woodruff, 2021, arXiv:2010.09649 (Hutch++); Chen & Hallman, 2023, arXiv:2205.01736
             (the space).

    Examples:
        >>> value, error = trace(lambda v: 2 * v, 3, probes=3, seed=0)
        >>> round(value, 10)
        6.0
    """
    space = krylov_space(product, size, steps=probes, seed=seed)
    beyond, error = trace_outside(space, parts or [product], probes=min(probes, size), seed=seed)
    return space.trace + beyond, error


def space_passes(config: MeasureConfig) -> Work:
    """Return the work of the Krylov space."""
    steps = dimensions(config)  # with each step vectors are made orthogonal to all before
    return Work(products=config.samples * steps, vectors=steps + steps**2 / 4, functions=2.5)


def probe_passes(config: MeasureConfig) -> Work:
    """Return the work of the estimate of the trace outside the space."""
    probes = config.curvature.probes
    return Work(products=config.samples * probes, vectors=2 * PARTS * probes)


def dimensions(config: MeasureConfig) -> int:
    """Return how many dimensions the Krylov space has, if there are as many weights."""
    return max(config.curvature.products, config.curvature.probes)


def hessian_space(ctx: MeasureContext) -> KrylovSpace:
    """Return a Krylov space of ∇²L, which trace and eigenvalues share.

    Raises:
        InputError: no weight is trainable.
    """
    from infomcr_cli.measures.cross_entropy import mean_loss

    surface = ctx.surface
    if not surface.size:
        raise InputError("a Hessian needs trainable weights", received=ctx.model.name)
    steps, dtype = dimensions(ctx.config), surface.precision
    if mean_loss(surface.clean_logits, surface.labels) < TINY_LOSS:
        dtype = "float64"
    return krylov_space(surface.hessian_product, surface.size, steps=steps, seed=ctx.seed, dtype=dtype)


def estimated_trace(ctx: MeasureContext) -> MeasureValue:
    """Return an unbiased estimate of tr ∇²L with its standard error, which several measures share."""
    space, surface, probes = ctx.once(hessian_space), ctx.surface, ctx.config.curvature.probes
    parts = surface.hessian_parts(PARTS)
    beyond, error = trace_outside(space, parts, probes=probes, seed=ctx.seed)
    # The variances within parts have parts · (probes - 1) degrees of freedom together; an interval takes one off.
    return MeasureValue(space.trace + beyond, error, estimates=len(parts) * (probes - 1) + 1)


@register_measure(
    name="hessian_trace",
    formula="tr ∇²L, Hutch++ with a Krylov space",
    source="Meyer et al., SOSA 2021, arXiv:2010.09649; the space: Chen & Hallman, SIMAX 2023, arXiv:2205.01736",
    family="curvature",
    unit="nats",
    direction="lower",
    cost="curvature.products Hessian-vector products over the samples, shared, and one per probe",
    passes=probe_passes,
    shares=(space_passes,),
    needs=(IMAGES,),
    settings=("samples", "curvature.probes", "curvature.products"),
)
def hessian_trace(ctx: MeasureContext) -> MeasureValue:
    """Return an unbiased estimate of the trace with its standard error."""
    return ctx.once(estimated_trace)


@register_measure(
    name="hessian_eigenvalue",
    formula="λ_max(∇²L), Lanczos",
    source="Lanczos, 1950; as a measure: Keskar et al., ICLR 2017, arXiv:1609.04836",
    family="curvature",
    unit="nats",
    direction="lower",
    cost="curvature.products Hessian-vector products over the samples, shared with hessian_trace",
    passes=space_passes,
    needs=(IMAGES,),
    settings=("samples", "curvature.eigenvalues", "curvature.products"),
)
def hessian_eigenvalue(ctx: MeasureContext) -> MeasureValue:
    """Return the largest eigenvalue, with all that were found and the residual of each."""
    settings, space = ctx.config.curvature, ctx.once(hessian_space)
    values, residuals = largest_eigenvalues(space, count=settings.eigenvalues, tolerance=ACCURACY)
    if not len(values):
        reason = f"it did not converge in {len(space.basis)} products; try more measure.curvature.products"
        return MeasureValue(None, extras={"reason": reason})
    return MeasureValue(float(values[0]), extras={"eigenvalues": values.tolist(), "residuals": residuals.tolist()})
