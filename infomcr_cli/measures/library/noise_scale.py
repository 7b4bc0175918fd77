"""PAC-Bayes noise scale: the Gaussian noise on the weights that lowers the accuracy by a given amount."""

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
from infomcr_cli.measures.work import Work

if TYPE_CHECKING:
    from infomcr_cli.measures.context import MeasureContext
    from infomcr_cli.measures.loss_surface import Indices, LossSurface


Array = NDArray[np.float64]
SMALLEST, LARGEST = 1e-7, 1e3  # of σ
FLOOR = 1e-3  # standard deviation of the noise on a weight of zero, if noise grows with the weight
FIRST, STEP = 1e-2, 4.0  # σ that is tried first, factor to the next one
NARROW, WIDTH = 1.6, 1.02  # ratios: of a bracket that is narrow enough for a line in ln σ, of the accuracy
PILOT, TRIES = 6.0, 4.0  # about as many values of σ are tried with one noise vector, with all of them


def crossing_scale(
    surface: LossSurface, *, drop: float, draws: int, seed: int, magnitude_aware: bool, floor: float = FLOOR
) -> tuple[float, float]:
    """Return the σ at which noise on all weights lowers the mean training accuracy by `drop`, and its standard error.

    The noise on w_i is N(0, σ²), or magnitude-aware N(0, σ² w_i² + floor²). The same `draws` noise vectors, scaled,
    are used for every σ, so that the drop is a smooth function of it. One vector on a part of the samples finds about
    where to search. A greater σ means a flatter minimum; the bound of the source contains 1/σ².

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
    right = np.argmax(surface.clean_logits, axis=1) == surface.labels
    few = surface.few()

    def noisy_accuracy(sigma: float, draw: int, indices: Indices | None = None) -> float:
        spread = np.sqrt((sigma * surface.weights) ** 2 + floor**2) if magnitude_aware else sigma
        # Drawn again for each σ: all vectors together would be [draws, W].
        noise = np.random.default_rng([seed, draw]).standard_normal(surface.size)
        return surface.accuracy(surface.weights + spread * noise, indices)

    def drops(sigma: float) -> Array:
        return np.array([right.mean() - noisy_accuracy(sigma, draw) for draw in range(draws)])

    guess = _pilot(lambda sigma: np.array([right[few].mean() - noisy_accuracy(sigma, 0, few)]), drop)
    return crossing(drops, drop, guess)


def _pilot(drops: Callable[[float], Array], target: float) -> float | None:
    """Return roughly the σ at which one noise vector alone crosses; None if it does not."""
    known = cache(drops)
    try:
        low, high = _narrowed(known, target, *_bracket(known, target, FIRST, STEP))
    except InputError:
        return None
    return math.sqrt(low * high)


def crossing(drops: Callable[[float], Array], target: float, guess: float | None = None) -> tuple[float, float]:
    """Return σ where the mean of `drops(σ)` crosses `target`, and its standard error.

    The drop is bracketed closely, and taken as a line in ln σ between the two nearest values of σ that were tried. The
    error is that of the mean near σ over the slope across the bracket (delta method).

    Args:
        drops:  σ -> the drop of each noise vector.
        target: of their mean.
        guess:  σ near the crossing; None: not known.

    Raises:
        InputError: it does not cross in 1e-7..1e3.
    """
    known = cache(drops)
    start, step = (FIRST, STEP) if guess is None else (guess, NARROW)
    low, high = _narrowed(known, target, *_bracket(known, target, start, step))
    slope = (known(high).mean() - known(low).mean()) / math.log(high / low)
    sigma, tried = _on_line(known, target, low, high), low
    # The value of the line is tried too, until it is close to the last one that was tried.
    while max(sigma / tried, tried / sigma) > WIDTH and high / low > WIDTH:
        tried = sigma
        low, high = (low, tried) if known(tried).mean() >= target else (tried, high)
        sigma = _on_line(known, target, low, high)
    here = known(tried)  # [draws]
    error = float(here.std(ddof=1)) / math.sqrt(len(here))
    return sigma, sigma * error / slope if slope > 0 else math.inf


def _on_line(drops: Callable[[float], Array], target: float, low: float, high: float) -> float:
    """Return σ between two values of σ at which a line in ln σ crosses the target."""
    below, above = drops(low).mean(), drops(high).mean()
    share = (target - below) / (above - below) if above > below else 0.5
    return low * (high / low) ** float(share)


def _narrowed(drops: Callable[[float], Array], target: float, low: float, high: float) -> tuple[float, float]:
    """Halve a bracket in ln σ until it is narrow."""
    while high / low > NARROW * (1 + 1e-9):  # a bracket of one step may be wider by rounding
        middle = math.sqrt(low * high)
        low, high = (low, middle) if drops(middle).mean() >= target else (middle, high)
    return low, high


def _bracket(drops: Callable[[float], Array], target: float, guess: float, step: float) -> tuple[float, float]:
    """Widen from a guess until one end lies below the target and the other does not."""
    low = high = guess
    while drops(high).mean() < target:
        low, high = high, high * step
        if high > LARGEST:
            raise InputError(f"noise must be able to lower the accuracy by {target}", received=f"less at sigma={low:g}")
    while drops(low).mean() >= target:
        low, high = low / step, low
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


def plain_passes(config: MeasureConfig) -> Work:
    """Return the work of the search for `plain_scale`."""
    tried = TRIES * config.noise.draws
    return Work(forward=config.samples * (PILOT / 4 + tried), vectors=PILOT + tried)


def magnitude_passes(config: MeasureConfig) -> Work:
    """Return the work of the search for `magnitude_scale`, as much as that of the other one."""
    return plain_passes(config)


@register_measure(
    name="noise_scale",
    formula="σ at which noise N(0, σ²) on w_i costs noise.accuracy_drop",
    source=f"PAC-Bayes: {JIANG}",
    family="pac_bayes",
    unit="weights",
    direction="higher",
    cost="about 4 forward passes over the samples per noise vector",
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
    cost="about 4 forward passes over the samples per noise vector",
    passes=magnitude_passes,
    needs=(IMAGES,),
    settings=("samples", "noise.accuracy_drop", "noise.draws"),
)
def magnitude_noise_scale(ctx: MeasureContext) -> MeasureValue:
    """Return σ with its standard error over the draws of noise."""
    return ctx.once(magnitude_scale)
