"""The volume of a star-shaped region in any number of dimensions, from the radii at which random rays leave it.

| symbol | meaning |
| --- | --- |
| W | dimensions |
| f(δ) | rise of the loss at the displacement δ from the minimum |
| c | rise at which the region ends |
| D | scales, [W]: rays are drawn evenly over the ellipsoid D·sphere |
| r(u) | f(r D u) = c, for a unit vector u |

V = det D · V_ball(W) · E_u r(u)^W, which is a change of variables for any D: it changes the spread of the estimate, not
what is estimated, since long rays are drawn more often. All is done with logarithms, for r^W overflows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, logsumexp

from infomcr_cli.errors import InputError

Array = NDArray[np.float64]
Rise = Callable[[Array], float]
RELATIVE = 1e-6  # accuracy of a radius
QUADRATIC = 1.0  # slope of ln √(f/c) in ln r where f is quadratic
GENTLEST, STEEPEST = 0.3, 10.0  # slopes with which the secant method goes on
TRIES, NEAR = 6, 1e-5  # values that it takes, product of the last two distances at which it ends
FARTHEST, SHORT = math.log(4.0), 1e-4  # its longest step, and the longest that tells no slope, in ln r
LARGEST, SMALLEST = 1e12, 1e-12  # radii that are tried, as multiples of the first guess
RESAMPLES = 200
FLOOR = 0.1  # of the mean curvature, is added to each: a weight without curvature would have an endless ray
CEILING = 1e6  # of √(f/c), where f is infinite or not a number


@dataclass(frozen=True)
class RayVolume:
    """ln V with its uncertainty.

    Args:
        value:     ln V, nats.
        std_error: by resampling the rays, nats. If one ray holds nearly all the volume, the true error is larger.
        effective: (Σ r^W)² / Σ r^2W, how many rays the volume rests on, 1..rays.
        radii:     r of each ray.
    """

    value: float
    std_error: float
    effective: float
    radii: Array


def ray_volume(
    rise: Rise, scales: Array, *, height: float, rays: int, seed: tuple[int, ...], guess: float
) -> RayVolume:
    """Return ln of the volume where f < c around 0.

    Args:
        rise:   f.
        scales: D, positive, [W].
        height: c > 0.
        rays:   at least 2.
        seed:   of the directions.
        guess:  of a radius.

    Raises:
        InputError: the loss does not rise by c along a ray.

    Source: Scherlis & Belrose, 2025, arXiv:2501.18812.
    """
    rng, radii, slope = np.random.default_rng(seed), np.empty(rays), QUADRATIC
    for ray in range(rays):
        direction = scales * unit_vector(rng, len(scales))
        # Rays of the right scales have nearly one radius: each is the guess for the next.
        guess, slope = _crossing(_along(rise, direction), height, guess, slope)
        radii[ray] = guess
    powers = len(scales) * np.log(radii)  # ln r^W, [rays]
    constant = float(np.log(scales).sum()) + log_ball_volume(len(scales))
    effective = float(np.exp(2 * logsumexp(powers) - logsumexp(2 * powers)))
    means = [log_mean_exp(rng.choice(powers, rays)) for _ in range(RESAMPLES)]  # of resampled rays (bootstrap)
    error = float(np.std(means, ddof=1))
    return RayVolume(constant + log_mean_exp(powers), error, effective, radii)


def crossing_radius(rise: Callable[[float], float], height: float, guess: float) -> float:
    """Return r with rise(r) = c.

    Raises:
        InputError: there is none within twelve orders of magnitude of the guess.
    """
    return _crossing(rise, height, guess, QUADRATIC)[0]


def _crossing(rise: Callable[[float], float], height: float, guess: float, slope: float) -> tuple[float, float]:
    """Return r with rise(r) = c, and the slope of ln √(rise/c) in ln r there, which is 1 where the loss is quadratic.

    The secant method in these logarithms takes two or three values from a good guess and slope. If it does not converge
    at once, √(rise/c) - 1 is solved by Brent's method.
    """
    from scipy.optimize import brentq

    @cache
    def excess(radius: float) -> float:
        found = rise(radius)
        return min(math.sqrt(max(found, 0.0) / height), CEILING) - 1 if math.isfinite(found) else CEILING - 1

    if (quick := _secant(excess, guess, slope)) is not None:
        return quick
    low, high = _bracket(excess, guess)
    return high if low == high else float(brentq(excess, low, high, xtol=RELATIVE * low, rtol=RELATIVE)), QUADRATIC


def _secant(excess: Callable[[float], float], radius: float, slope: float) -> tuple[float, float] | None:
    """Return the radius where √(rise/c) is 1, and the slope; None if a few steps do not lead there."""
    before: tuple[float, float] | None = None  # radius, ln √(rise/c)
    for _ in range(TRIES):
        ratio = excess(radius) + 1
        if not 0 < ratio < CEILING:  # too near or too far for a slope
            before, radius = None, radius * (2.0 if ratio < CEILING else 0.25)
            continue
        height = math.log(ratio)
        if before is not None and abs(step := math.log(radius / before[0])) > SHORT:
            slope = (height - before[1]) / step
        if not GENTLEST < slope < STEEPEST:
            return None
        nearer = radius * math.exp(-max(-FARTHEST, min(FARTHEST, height / slope)))
        # The error of the line is of the order of the product of both distances.
        if abs(height) < RELATIVE or (before is not None and abs(height * before[1]) < NEAR):
            return nearer, slope
        before, radius = (radius, height), nearer
    return None


def _bracket(excess: Callable[[float], float], guess: float) -> tuple[float, float]:
    """Return radii below and above the crossing; steps aim past it as if the loss were quadratic."""
    radius, low, high = guess, 0.0, math.inf
    while low == 0.0 or high == math.inf:
        if not SMALLEST * guess < radius < LARGEST * guess:
            raise InputError("the loss must rise by measure.basin_volume.rise along a ray", received=f"{radius=:g}")
        ratio = excess(radius) + 1  # √(rise/c)
        if ratio < 1:
            low, radius = radius, radius * min(4.0, max(1.02, 1.02 / max(ratio, 0.25)))
        elif ratio > 1:
            high, radius = radius, radius / min(4.0, max(1.02, 1.02 * ratio))
        else:
            return radius, radius
    return low, high


def ray_scales(
    gradient: Callable[[Array], Array], rise: Rise, size: int, *, height: float, pilots: int, seed: tuple[int, ...]
) -> tuple[Array, float]:
    """Return D from the curvature along pilot rays, with product 1, and the radius of the last of these in plain units.

    Along signs s, g(r s) - g(0) = r H s, whose entry i is r h_i for a diagonal Hessian and has mean square
    r² Σ_j H_ij² for any. So the region is about D_i ∝ 1/√h_i wide in direction i.

    Args:
        gradient: of the loss at a displacement, [W] -> [W].
        size:     W.
        pilots:   rays; their random numbers are not those of the estimate, which stays unbiased.
    """
    rng, squares, radius = np.random.default_rng(seed), np.zeros(size), 1.0
    start = gradient(np.zeros(size))
    for _ in range(pilots):
        direction = rng.choice([-1.0, 1.0], size) / math.sqrt(size)
        radius = crossing_radius(_along(rise, direction), height, radius)
        squares += ((gradient(radius * direction) - start) / radius) ** 2
    curvature = np.sqrt(squares)
    logs = -0.5 * np.log(curvature + FLOOR * curvature.mean()) if curvature.any() else np.zeros(size)
    return np.exp(logs - logs.mean()), radius


def _along(rise: Rise, direction: Array) -> Callable[[float], float]:
    return lambda radius: rise(radius * direction)


def unit_vector(rng: np.random.Generator, size: int) -> Array:
    """Return a point drawn evenly from the sphere, [size]."""
    vector = rng.standard_normal(size)
    return vector / float(np.linalg.norm(vector))


def log_ball_volume(size: int) -> float:
    """Return ln of the volume of the unit ball in `size` dimensions.

    Examples:
        >>> round(log_ball_volume(3), 10) == round(math.log(4 / 3 * math.pi), 10)
        True
    """
    return size / 2 * math.log(math.pi) - float(gammaln(size / 2 + 1))


def log_mean_exp(values: Array) -> float:
    """Return ln of the mean of e^x."""
    return float(logsumexp(values)) - math.log(len(values))
