"""Trace and largest eigenvalues of the Hessian of the loss, from Hessian-vector products only."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.config.schema.measure import MeasureConfig
from infomcr_cli.errors import InputError
from infomcr_cli.measures.base import HESSIAN_PRODUCT, IMAGES, register_measure
from infomcr_cli.measures.value import MeasureValue

if TYPE_CHECKING:
    from infomcr_cli.measures.context import MeasureContext
    from infomcr_cli.measures.loss_surface import LossSurface


Array = NDArray[np.float64]
Product = Callable[[Array], Array]
KRYLOV = 12  # products that Lanczos takes at least
RELATIVE = 1e-2  # accuracy of each eigenvalue


def largest_eigenvalues(
    product: Product, size: int, *, count: int, tolerance: float, seed: int, products: int
) -> tuple[Array, Array]:
    """Return the algebraically largest eigenvalues, descending, and the residual norm of each (restarted Lanczos).

    An eigenvalue lies within ‖A v - λ v‖ of λ, so the residual bounds the error.

    Args:
        product:   v -> A v, [size] -> [size], A symmetric.
        count:     how many; at most size - 1.
        tolerance: relative accuracy that ARPACK aims at.
        products:  about as many products are spent at most; eigenvalues that have not converged by then are left out.

    Source:  Lehoucq, Sorensen & Yang, 1998 (ARPACK), through scipy.sparse.linalg.eigsh.
    """
    from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, LinearOperator, eigsh

    count = min(count, size - 1)
    krylov = min(size, max(2 * count + 1, KRYLOV))
    start = np.random.default_rng(seed).standard_normal(size)
    operator = LinearOperator((size, size), matvec=product, dtype=np.float64)
    restarts = max(1, (products - krylov) // (krylov - count))
    try:
        values, vectors = eigsh(operator, count, which="LA", v0=start, ncv=krylov, tol=tolerance, maxiter=restarts)
    except ArpackNoConvergence as unfinished:
        values, vectors = np.real(unfinished.eigenvalues), np.real(unfinished.eigenvectors)
    except ArpackError:
        if np.any(product(start)):
            raise
        return np.zeros(count), np.zeros(count)  # a matrix that makes a random vector 0 is 0
    order = np.argsort(values)[::-1]
    residuals = [np.linalg.norm(product(vectors[:, i]) - values[i] * vectors[:, i]) for i in order]
    return values[order], np.asarray(residuals)


def trace(product: Product, size: int, *, probes: int, seed: int) -> tuple[float, float]:
    """Return an unbiased estimate of tr A and its standard error, from 3·probes products (Hutch++).

    On the range of a sketch A S the trace is exact, tr QᵀAQ; orthogonal to it Hutchinson's estimator is used, whose
    spread over the probes gives the standard error. The trace of a matrix of rank below `probes` is exact.

    Args:
        product: v -> A v, [size] -> [size], A symmetric.
        probes: at least 2.
        seed: of the Rademacher vectors.

    Source:  Meyer, Musco, Musco & Woodruff, 2021, arXiv:2010.09649, algorithm 1.

    Examples:
        >>> value, error = trace(lambda v: 2 * v, 3, probes=3, seed=0)
        >>> round(value, 10)
        6.0
    """
    probes = min(probes, size)
    rng = np.random.default_rng(seed)
    sketch, rest = (rng.choice([-1.0, 1.0], (size, probes)) for _ in range(2))
    basis, _ = np.linalg.qr(np.stack([product(s) for s in sketch.T], axis=1))  # of A S, [size, probes]
    within = sum(float(q @ product(q)) for q in basis.T)
    rest -= basis @ (basis.T @ rest)
    beyond = np.array([g @ product(g) for g in rest.T])
    return within + float(beyond.mean()), float(beyond.std(ddof=1) / np.sqrt(probes)) if probes > 1 else 0.0


def trace_passes(config: MeasureConfig) -> float:
    """Return the forward passes that take as long as the estimate of the trace."""
    return config.samples * 3 * config.curvature.probes * HESSIAN_PRODUCT


def _trained_surface(ctx: MeasureContext) -> LossSurface:
    """Return the loss surface.

    Raises:
        InputError: no weight is trainable.
    """
    if not ctx.surface.size:
        raise InputError("a Hessian needs trainable weights", received=ctx.model.name)
    return ctx.surface


def estimated_trace(ctx: MeasureContext) -> MeasureValue:
    """Return an unbiased estimate of tr ∇²L with its standard error, which several measures share."""
    surface = _trained_surface(ctx)
    probes = min(ctx.config.curvature.probes, surface.size)
    value, error = trace(surface.hessian_product, surface.size, probes=probes, seed=ctx.seed)
    return MeasureValue(value, error, estimates=probes if probes > 1 else None)


@register_measure(
    name="hessian_trace",
    formula="tr ∇²L, Hutch++",
    source="Meyer et al., SOSA 2021, arXiv:2010.09649",
    family="curvature",
    unit="nats",
    direction="lower",
    cost="three Hessian-vector products over the samples for each probe",
    passes=trace_passes,
    needs=(IMAGES,),
    settings=("samples", "curvature.probes"),
)
def hessian_trace(ctx: MeasureContext) -> MeasureValue:
    """Return an unbiased estimate of the trace with its standard error."""
    return ctx.once(estimated_trace)


@register_measure(
    name="hessian_eigenvalue",
    formula="λ_max(∇²L), Lanczos",
    source="Lehoucq et al., ARPACK, SIAM 1998; as a measure: Keskar et al., ICLR 2017, arXiv:1609.04836",
    family="curvature",
    unit="nats",
    direction="lower",
    cost="at most about curvature.products Hessian-vector products over the samples",
    passes=lambda config: config.samples * max(config.curvature.products, KRYLOV) * HESSIAN_PRODUCT,
    needs=(IMAGES,),
    settings=("samples", "curvature.eigenvalues", "curvature.products"),
)
def hessian_eigenvalue(ctx: MeasureContext) -> MeasureValue:
    """Return the largest eigenvalue, with all that were found and the residual that bounds the error of each."""
    settings, surface = ctx.config.curvature, _trained_surface(ctx)
    values, residuals = largest_eigenvalues(
        surface.hessian_product,
        surface.size,
        count=settings.eigenvalues,
        tolerance=RELATIVE,
        seed=ctx.seed,
        products=settings.products,
    )
    if not len(values):
        return MeasureValue(None, extras={"reason": f"no eigenvalue converged in {settings.products} products"})
    return MeasureValue(float(values[0]), extras={"eigenvalues": values.tolist(), "residuals": residuals.tolist()})
