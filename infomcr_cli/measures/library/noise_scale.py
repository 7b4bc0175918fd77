"""PAC-Bayes noise scale: how much Gaussian noise on the weights costs a given share of the accuracy."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.config.schema.measure import MeasureConfig
from infomcr_cli.errors import InputError
from infomcr_cli.measures.base import IMAGES, register_measure
from infomcr_cli.measures.library import JIANG
from infomcr_cli.measures.value import MeasureValue

if TYPE_CHECKING:
    from infomcr_cli.measures.context import MeasureContext
    from infomcr_cli.measures.loss_surface import LossSurface


Array = NDArray[np.float64]
SMALLEST, LARGEST = 1e-7, 1e3  # of σ
FLOOR = 1e-3  # standard deviation of the noise on a weight of zero, if noise grows with the weight
BISECTIONS = 14  # about as many values of σ are tried
STEP, WIDTH, SLOPE = 4.0, 1.02, 1.25  # factors: of the bracket's growth, of its last width, between slope's points


def crossing_scale(
    surface: LossSurface, *, drop: float, draws: int, seed: int, magnitude_aware: bool, floor: float = FLOOR
) -> tuple[float, float]:
    """Return σ at which noise on all weights lowers the mean training accuracy by `drop`, and its standard error.

    The noise on w_i is N(0, σ²), or magnitude-aware N(0, σ² w_i² + floor²). The same `draws` noise vectors, scaled,
    are used for every σ, so that the drop is a smooth function of it and bisection works. A greater σ means a flatter
    minimum; the bound of the source contains 1/σ².

    Args:
        surface:         the loss of the network.
        drop:            decrease of the accuracy, 0..1.
        draws:           noise vectors, at least 2.
        seed:            of the noise.
        magnitude_aware: whether the noise grows with the weight.
        floor:           standard deviation of the noise on a weight of zero, if magnitude-aware.

    Raises:
        InputError: no σ in 1e-7..1e3 lowers the accuracy by so much.

    Source:
        Jiang et al., 2020, arXiv:1912.02178 (drop 0.1, floor 1e-3).
    """
    base = surface.accuracy(surface.weights)

    def drops(sigma: float) -> Array:
        spread = np.sqrt((sigma * surface.weights) ** 2 + floor**2) if magnitude_aware else sigma
        noise = (np.random.default_rng([seed, draw]).standard_normal(surface.size) for draw in range(draws))
        return np.array([base - surface.accuracy(surface.weights + spread * one) for one in noise])

    return crossing(drops, drop)


def crossing(drops: Callable[[float], Array], target: float) -> tuple[float, float]:
    """Return σ where the mean of `drops(σ)` crosses `target`, by bisection in ln σ, and its standard error.

    The error is that of the mean at σ over its slope there (delta method).

    Raises:
        InputError: it does not cross in 1e-7..1e3.
    """
    known = cache(drops)
    low, high = _bracket(known, target)
    while high / low > WIDTH:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if known(middle).mean() >= target else (middle, high)
    sigma = math.sqrt(low * high)
    slope = (known(sigma * SLOPE).mean() - known(sigma / SLOPE).mean()) / (2 * math.log(SLOPE))
    here = known(sigma)
    error = float(here.std(ddof=1)) / math.sqrt(len(here))
    return sigma, sigma * error / slope if slope > 0 else math.inf


def _bracket(drops: Callable[[float], Array], target: float) -> tuple[float, float]:
    """Widen from 0.01 until one end lies below the target and the other does not."""
    low = high = 1e-2
    while drops(high).mean() < target:
        low, high = high, high * STEP
        if high > LARGEST:
            raise InputError(f"noise must be able to lower the accuracy by {target}", received=f"less at sigma={low:g}")
    while drops(low).mean() >= target:
        low, high = low / STEP, low
        if low < SMALLEST:
            raise InputError(
                f"little noise must lower the accuracy by less than {target}", received=f"more at {high:g}"
            )
    return low, high


def plain_scale(ctx: MeasureContext) -> MeasureValue:
    """Return σ of noise of one size on all weights, which several measures share."""
    return _scale(ctx, magnitude_aware=False)


def magnitude_scale(ctx: MeasureContext) -> MeasureValue:
    """Return σ of noise that grows with the weight, which several measures share."""
    return _scale(ctx, magnitude_aware=True)


def _scale(ctx: MeasureContext, *, magnitude_aware: bool) -> MeasureValue:
    settings = ctx.config.noise
    scale, error = crossing_scale(
        ctx.surface,
        drop=settings.accuracy_drop,
        draws=settings.draws,
        seed=ctx.seed,
        magnitude_aware=magnitude_aware,
    )
    return MeasureValue(scale, error if math.isfinite(error) else None, estimates=settings.draws)


def plain_passes(config: MeasureConfig) -> float:
    """Return the images that pass forward in the search for `plain_scale`."""
    return config.samples * BISECTIONS * config.noise.draws


def magnitude_passes(config: MeasureConfig) -> float:
    """Return the images that pass forward in the search for `magnitude_scale`, another function of the same number."""
    return plain_passes(config)


@register_measure(
    name="noise_scale",
    formula="σ at which noise N(0, σ²) on w_i costs noise.accuracy_drop",
    source=f"PAC-Bayes: {JIANG}",
    family="pac_bayes",
    unit="weights",
    direction="higher",
    cost="some 14 forward passes over the samples for each draw of noise",
    passes=plain_passes,
    needs=(IMAGES,),
    settings=("samples", "noise.accuracy_drop", "noise.draws"),
)
def noise_scale(ctx: MeasureContext) -> MeasureValue:
    """Return σ with its standard error over the draws of noise."""
    return ctx.once(plain_scale)


@register_measure(
    name="magnitude_noise_scale",
    formula="σ at which noise N(0, σ²w_i² + 10⁻⁶) on w_i costs noise.accuracy_drop",
    source=f"PAC-Bayes: {JIANG}",
    family="pac_bayes",
    unit="|w_i|",
    direction="higher",
    cost="some 14 forward passes over the samples for each draw of noise",
    passes=magnitude_passes,
    needs=(IMAGES,),
    settings=("samples", "noise.accuracy_drop", "noise.draws"),
)
def magnitude_noise_scale(ctx: MeasureContext) -> MeasureValue:
    """Return σ with its standard error over the draws of noise."""
    return ctx.once(magnitude_scale)
