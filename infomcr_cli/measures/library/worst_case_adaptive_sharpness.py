"""Worst-case adaptive sharpness: the highest rise of the loss that many ascent steps find, with normalised logits."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.config.schema.measure import MeasureConfig
from infomcr_cli.measures.base import IMAGES, register_measure
from infomcr_cli.measures.families import EVERY_CHANGE
from infomcr_cli.measures.library import ANDRIUSHCHENKO
from infomcr_cli.measures.value import MeasureValue, standard_error
from infomcr_cli.measures.work import Work

if TYPE_CHECKING:
    from infomcr_cli.measures.context import MeasureContext


Array = NDArray[np.float64]
Norm = Literal["l2", "linf"]
Differentiated = Callable[[Array], tuple[float, Array]]


def highest_rise(loss_and_gradient: Differentiated, weights: Array, *, rho: float, norm: Norm, steps: int) -> float:
    """Return the best of `steps` points for max L(w + T u) - L(w) over ‖u‖ ≤ ρ, T = diag |w|, nats, never negative.

    Projected steepest ascent from u = 0: the first step reaches the boundary; a step that does not raise the
    loss is taken again from the best point at half its length. What is returned is a lower bound of the maximum. It
    does not change when a rectified layer is multiplied by c and the next one by 1/c.

    Args:
        loss_and_gradient: w -> L(w), ∇L(w).
        rho:               ρ, relative to each weight.
        norm:              `l2`, or `linf` for the greatest |u_i|.

    Source: Andriushchenko et al., 2023, arXiv:2302.07011, with Auto-PGD's rule of halving (Croce & Hein, 2020,
    arXiv:2003.01690) taken at each step.
    """
    scale = np.abs(weights)
    lowest, gradient = loss_and_gradient(weights)
    # u, and the gradient by u, T ∇L, [W].
    best, where, slope, length = lowest, np.zeros_like(weights), scale * gradient, 2 * rho
    for _ in range(steps):
        if not slope.any():
            break
        steepest = np.sign(slope) if norm == "linf" else slope / np.linalg.norm(slope)  # of length 1 in the norm
        there = _projected(where + length * steepest, rho, norm)
        loss, gradient = loss_and_gradient(weights + scale * there)
        if np.isfinite(loss) and loss > best:
            best, where, slope = loss, there, scale * gradient
        else:
            length /= 2
    return best - lowest


def _projected(step: Array, rho: float, norm: Norm) -> Array:
    """Return the nearest point of the ball."""
    if norm == "linf":
        return np.clip(step, -rho, rho)
    length = float(np.linalg.norm(step))
    return step * (rho / length) if length > rho else step


def normalised_gradient(config: MeasureConfig) -> Work:
    """Return the work of compiling the gradient with normalised logits."""
    return Work(functions=1)


def ascent_passes(config: MeasureConfig) -> Work:
    """Return the work of the ascent steps of all sub-batches."""
    settings = config.sharpness
    points = settings.ascent_steps + 1
    vectors = 2 * points * max(1.0, config.samples / settings.sub_batch)
    return Work(gradients=config.samples * points, vectors=vectors)


@register_measure(
    name="worst_case_adaptive_sharpness",
    formula="mean_m max L_m(w + δ) − L_m(w), |δ_i| ≤ ρ|w_i|, normalised logits",
    source=ANDRIUSHCHENKO,
    family="sharpness",
    invariance=EVERY_CHANGE,
    unit="nats",
    direction="lower",
    cost="one forward and one backward pass over the samples per ascent step",
    passes=lambda config: ascent_passes(config),  # its own: the steps differ
    shares=(normalised_gradient,),
    needs=(IMAGES,),
    settings=("samples", "sharpness.linf_rho", "sharpness.ascent_steps", "sharpness.sub_batch"),
)
def worst_case_adaptive_sharpness(ctx: MeasureContext) -> MeasureValue:
    """Return the mean over sub-batches with its standard error, p = ∞."""
    return _mean_rise(ctx, ctx.config.sharpness.linf_rho, "linf")


@register_measure(
    name="worst_case_adaptive_sharpness_l2",
    formula="mean_m max L_m(w + δ) − L_m(w), ‖δ/|w|‖₂ ≤ ρ, normalised logits",
    source=ANDRIUSHCHENKO,
    family="sharpness",
    invariance=EVERY_CHANGE,
    unit="nats",
    direction="lower",
    cost="one forward and one backward pass over the samples per ascent step",
    passes=lambda config: ascent_passes(config),  # its own: the steps differ
    shares=(normalised_gradient,),
    needs=(IMAGES,),
    settings=("samples", "sharpness.l2_rho", "sharpness.ascent_steps", "sharpness.sub_batch"),
)
def worst_case_adaptive_sharpness_l2(ctx: MeasureContext) -> MeasureValue:
    """Return the mean over sub-batches with its standard error, p = 2."""
    return _mean_rise(ctx, ctx.config.sharpness.l2_rho, "l2")


def _mean_rise(ctx: MeasureContext, rho: float, norm: Norm) -> MeasureValue:
    surface, settings = ctx.normalised_surface, ctx.config.sharpness
    parts = surface.sub_batches(settings.sub_batch)
    rises = np.empty(len(parts))
    for index, part in enumerate(parts):
        differentiated = partial(surface.loss_and_gradient, indices=part)
        rises[index] = highest_rise(differentiated, surface.weights, rho=rho, norm=norm, steps=settings.ascent_steps)
    error = standard_error(rises) if len(rises) > 1 else None
    extras = {"sub_batches": len(rises), "norm": norm, "logits": "normalised"}
    return MeasureValue(float(rises.mean()), error, extras, estimates=len(rises) if len(rises) > 1 else None)
