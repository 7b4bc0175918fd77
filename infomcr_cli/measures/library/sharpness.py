"""Sharpness: the rise of the loss after an ascent step, as in SAM (plain or adaptive), or the worst case in a box."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.config.schema.measure import MeasureConfig
from infomcr_cli.measures.base import IMAGES, register_measure
from infomcr_cli.measures.families import SAME_FUNCTION
from infomcr_cli.measures.value import MeasureValue, standard_error
from infomcr_cli.measures.work import Work, compiled_gradient, gradient_passes

if TYPE_CHECKING:
    from infomcr_cli.measures.context import MeasureContext
    from infomcr_cli.measures.loss_surface import LossSurface


Array = NDArray[np.float64]
EVALUATIONS = 2.0  # of loss and gradient for each iteration of L-BFGS-B, at most
BOOKKEEPING = 10.0  # vectors that it makes for each


def ascent_sharpness(surface: LossSurface, *, rho: float, size: int, adaptive: bool) -> Array:
    """Return L_m(w + δ_m) - L_m(w) of each sub-batch m of `size` consecutive samples, nats, [⌊N/size⌋].

    With g = ∇L_m(w): δ = ρ g / ‖g‖, or adaptive δ = ρ T² g / ‖T g‖, T = diag |w|. Adaptive sharpness does not change
    when a rectified layer is multiplied by c and the next one by 1/c.

    Args:
        rho:  ρ, length of the step, in the units of w; of w/|w| if adaptive.
        size: m; sharpness of smaller sub-batches follows generalization more closely.

    Source:  Foret et al., 2021, arXiv:2010.01412; Kwon et al., 2021, arXiv:2102.11600 (adaptive, η = 0);
             Andriushchenko et al., 2023, arXiv:2302.07011.
    """
    rises = []
    for indices in surface.sub_batches(size):
        before, gradient = surface.loss_and_gradient(surface.weights, indices)
        step = ascent_step(surface.weights, gradient, rho=rho, adaptive=adaptive)
        rises.append(surface.loss(surface.weights + step, indices) - before)
    return np.asarray(rises)


def ascent_step(weights: Array, gradient: Array, *, rho: float, adaptive: bool) -> Array:
    """Return the step δ [W] that raises the linearised loss most within its ball; 0 where the gradient is 0."""
    scale = np.abs(weights) if adaptive else np.ones_like(weights)
    length = float(np.linalg.norm(scale * gradient))
    return rho * scale**2 * gradient / length if length > 0 else np.zeros_like(weights)


class _SpentError(Exception):
    """All evaluations that a search may take are spent."""


def highest_rise(surface: LossSurface, *, epsilon: float, iterations: int) -> float:
    """Return 100·(max L(w + z) - L(w)) / (1 + L(w)) over |z_i| ≤ ε(|w_i| + 1), percent.

    The maximum is sought by L-BFGS-B for a bounded number of iterations, as in the source, so what is
    returned is a lower bound of it; the start is one signed gradient step to the corner of the box, where a loss that
    is linear within the box has its maximum.

    Args:
        epsilon:    ε, half-width of the box in relative units.
        iterations: of L-BFGS-B; they take at most twice as many passes over all samples.

    Source:  Keskar et al., 2017, arXiv:1609.04836, metric 2.1 with A = I.
    """
    from scipy.optimize import Bounds, minimize

    base, gradient = surface.clean_gradient
    width = epsilon * (np.abs(surface.weights) + 1.0)
    highest, left = base, round(EVALUATIONS * iterations)

    # In units of the box, z = width · step: its sides are ±1 for every weight.
    def descent(step: Array) -> tuple[float, Array]:
        nonlocal highest, left
        if left == 0:
            raise _SpentError
        left -= 1
        loss, slope = surface.loss_and_gradient(surface.weights + width * step)
        highest = max(highest, loss)
        return -loss, -width * slope

    with suppress(_SpentError):  # a line search alone may take twenty evaluations, whatever `maxfun` says
        minimize(
            descent,
            np.sign(gradient),
            jac=True,
            method="L-BFGS-B",
            bounds=Bounds(-1.0, 1.0),
            options={"maxiter": iterations},
        )
    return 100.0 * (highest - base) / (1.0 + base)


def step_passes(config: MeasureConfig) -> Work:
    """Return the work of an ascent step from the weights for each sub-batch."""
    steps = max(1.0, config.samples / config.sharpness.sub_batch)
    return Work(forward=config.samples, gradients=config.samples, vectors=2 * steps)


@register_measure(
    name="sharpness",
    formula="mean_m L_m(w + ρ g_m/‖g_m‖) − L_m(w)",
    source="Foret et al., ICLR 2021, arXiv:2010.01412",
    family="sharpness",
    unit="nats",
    direction="lower",
    cost="two forward passes and one backward pass over the samples",
    passes=lambda config: step_passes(config),  # its own: the steps differ
    shares=(compiled_gradient,),
    needs=(IMAGES,),
    settings=("samples", "sharpness.rho", "sharpness.sub_batch"),
    suite="standard",
)
def sharpness(ctx: MeasureContext) -> MeasureValue:
    """Return the mean over sub-batches with its standard error."""
    return _mean_rise(ctx, ctx.config.sharpness.rho, adaptive=False)


@register_measure(
    name="adaptive_sharpness",
    formula="mean_m L_m(w + ρ T²g_m/‖T g_m‖) − L_m(w), T = diag |w|",
    source="Kwon et al., ICML 2021, arXiv:2102.11600; Andriushchenko et al., ICML 2023, arXiv:2302.07011",
    family="sharpness",
    invariance=SAME_FUNCTION,
    unit="nats",
    direction="lower",
    cost="two forward passes and one backward pass over the samples",
    passes=lambda config: step_passes(config),  # its own: the steps differ
    shares=(compiled_gradient,),
    needs=(IMAGES,),
    settings=("samples", "sharpness.adaptive_rho", "sharpness.sub_batch"),
    suite="standard",
)
def adaptive_sharpness(ctx: MeasureContext) -> MeasureValue:
    """Return the mean over sub-batches with its standard error."""
    return _mean_rise(ctx, ctx.config.sharpness.adaptive_rho, adaptive=True)


def _mean_rise(ctx: MeasureContext, rho: float, *, adaptive: bool) -> MeasureValue:
    rises = ascent_sharpness(ctx.surface, rho=rho, size=ctx.config.sharpness.sub_batch, adaptive=adaptive)
    error = standard_error(rises) if len(rises) > 1 else None
    return MeasureValue(float(rises.mean()), error, {"sub_batches": len(rises)}, estimates=len(rises))


def search_passes(config: MeasureConfig) -> Work:
    """Return the work of the search in the box."""
    tried = EVALUATIONS * config.sharpness.iterations
    return Work(gradients=config.samples * tried, vectors=BOOKKEEPING * tried)


@register_measure(
    name="worst_case_sharpness",
    formula="100 (max L(w + z) − L(w)) / (1 + L(w)), |z_i| ≤ ε(|w_i| + 1)",
    source="Keskar et al., ICLR 2017, arXiv:1609.04836, metric 2.1",
    family="sharpness",
    unit="percent",
    direction="lower",
    cost="up to two forward and backward passes over the samples per iteration",
    passes=search_passes,
    shares=(compiled_gradient, gradient_passes),
    needs=(IMAGES,),
    settings=("samples", "sharpness.epsilon", "sharpness.iterations"),
)
def worst_case_sharpness(ctx: MeasureContext) -> MeasureValue:
    """Return a lower bound of the maximum: the best of a bounded search."""
    settings = ctx.config.sharpness
    return MeasureValue(highest_rise(ctx.surface, epsilon=settings.epsilon, iterations=settings.iterations))
