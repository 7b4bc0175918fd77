"""Average-case sharpness: the mean rise of the loss under random noise on the weights, with normalised logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    from infomcr_cli.measures.loss_surface import LossSurface


Array = NDArray[np.float64]


def noise_rises(surface: LossSurface, *, rho: float, draws: int, seed: int, adaptive: bool) -> Array:
    """Return L(w + δ) - L(w) of each draw of δ_i ~ N(0, ρ²), or adaptive N(0, ρ² w_i²), nats, [draws].

    Args:
        rho: ρ, standard deviation of the noise, in the units of the weights; of each weight's magnitude if adaptive.

    Source: Andriushchenko et al., 2023, arXiv:2302.07011, average-case sharpness.
    """
    from infomcr_cli.measures.cross_entropy import mean_loss

    base = mean_loss(surface.clean_logits, surface.labels)
    spread = rho * np.abs(surface.weights) if adaptive else rho
    # One vector at a time: all of them would be [draws, W].
    noise = (np.random.default_rng([seed, draw]).standard_normal(surface.size) for draw in range(draws))
    return np.array([surface.loss(surface.weights + spread * one) - base for one in noise])


def normalised_pass(config: MeasureConfig) -> Work:
    """Return the work of the pass over the samples with normalised logits."""
    return Work(forward=config.samples, functions=0.5)


def noise_passes(config: MeasureConfig) -> Work:
    """Return the work of the passes at noisy weights."""
    return Work(forward=config.samples * config.sharpness.noise_draws, vectors=config.sharpness.noise_draws)


@register_measure(
    name="average_sharpness",
    formula="E L(w + δ) − L(w), δ ~ N(0, ρ²), normalised logits",
    source=ANDRIUSHCHENKO,
    family="sharpness",
    unit="nats",
    direction="lower",
    cost="one forward pass over the samples per noise vector",
    passes=lambda config: noise_passes(config),  # its own: the noise differs
    shares=(normalised_pass,),
    needs=(IMAGES,),
    settings=("samples", "sharpness.noise_rho", "sharpness.noise_draws"),
)
def average_sharpness(ctx: MeasureContext) -> MeasureValue:
    """Return the mean over draws of noise with its standard error."""
    return _mean_rise(ctx, ctx.config.sharpness.noise_rho, adaptive=False)


@register_measure(
    name="average_adaptive_sharpness",
    formula="E L(w + δ) − L(w), δ_i ~ N(0, ρ²w_i²), normalised logits",
    source=ANDRIUSHCHENKO,
    family="sharpness",
    invariance=EVERY_CHANGE,
    unit="nats",
    direction="lower",
    cost="one forward pass over the samples per noise vector",
    passes=lambda config: noise_passes(config),  # its own: the noise differs
    shares=(normalised_pass,),
    needs=(IMAGES,),
    settings=("samples", "sharpness.adaptive_noise_rho", "sharpness.noise_draws"),
)
def average_adaptive_sharpness(ctx: MeasureContext) -> MeasureValue:
    """Return the mean over draws of noise with its standard error."""
    return _mean_rise(ctx, ctx.config.sharpness.adaptive_noise_rho, adaptive=True)


def _mean_rise(ctx: MeasureContext, rho: float, *, adaptive: bool) -> MeasureValue:
    draws = ctx.config.sharpness.noise_draws
    rises = noise_rises(ctx.normalised_surface, rho=rho, draws=draws, seed=ctx.seed, adaptive=adaptive)
    return MeasureValue(float(rises.mean()), standard_error(rises), {"logits": "normalised"}, estimates=draws)
