"""Statistics of the study that `infomcr judge` does not have: partial τ, the noise of the seed, paired bootstrap."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
FEWEST = 16  # minima for an interval, as in `infomcr judge`


@dataclass(frozen=True)
class Interval:
    """A value with its interval; None where there is none."""

    value: float | None
    low: float | None = None
    high: float | None = None


def partial_tau(measure: Floats, gap: Floats, given: Floats, *, level: float = 0.95) -> Interval:
    """Return Kendall's partial τ-b of measure and gap given a third quantity, with a jackknife interval.

    It is not 0 if measure and gap are independent given the third quantity: see `partial_rho`.

    (τ_mg − τ_mc τ_gc) / √((1 − τ_mc²)(1 − τ_gc²)). Each minimum is left out in turn; the interval is symmetric on the
    scale of artanh, with Student's t.

    Args:
        measure, gap, given: a number for each minimum, [n]; a minimum without one of them is left out.
        level: coverage of the interval.

    Source:
        Kendall, Biometrika 32 (1942).
    """
    known = np.isfinite(measure) & np.isfinite(gap) & np.isfinite(given)
    signs = [np.sign(one[known][:, None] - one[known][None, :]) for one in (measure, gap, given)]  # [n, n] each
    if known.sum() < 3:
        return Interval(None)
    return _jackknifed(*_partial(*(_tau(signs[a], signs[b]) for a, b in ((0, 1), (0, 2), (1, 2)))), level)


def partial_rho(measure: Floats, gap: Floats, given: Floats, *, level: float = 0.95) -> Interval:
    """Return Spearman's partial ρ of measure and gap given a third quantity, with a jackknife interval.

    Unlike partial τ it is close to 0 if measure and gap are independent given the third quantity.

    Args:
        measure, gap, given: a number for each minimum, [n]; a minimum without one of them is left out.
        level: coverage of the interval.

    Source:
        Korn, The American Statistician 38 (1984), on what partial τ is under conditional independence.
    """
    known = np.isfinite(measure) & np.isfinite(gap) & np.isfinite(given)
    values = np.stack([measure, gap, given])[:, known]  # [3, n]
    if known.sum() < 4:
        return Interval(None)
    with np.errstate(divide="ignore", invalid="ignore"):
        rho = np.asarray(np.corrcoef(stats.rankdata(values, axis=1)))
        left = np.array([np.corrcoef(stats.rankdata(np.delete(values, i, 1), axis=1)) for i in range(known.sum())])
    pairs = [(rho[a, b], left[:, a, b]) for a, b in ((0, 1), (0, 2), (1, 2))]
    return _jackknifed(*_partial(*pairs), level)


def ranks_within(values: Floats, strata: NDArray[Any]) -> Floats:
    """Return the rank of each value among those of its stratum, as a share in (0, 1); NaN stays.

    Args:
        values, strata: of each minimum, [n].

    Examples:
        >>> ranks_within(np.array([3.0, 1.0, 70.0, 90.0]), np.array(["a", "a", "b", "b"])).round(2).tolist()
        [0.67, 0.33, 0.33, 0.67]
    """
    found = np.full(len(values), np.nan)
    for one in np.unique(strata):
        own = (strata == one) & np.isfinite(values)
        found[own] = stats.rankdata(values[own]) / (own.sum() + 1)
    return found


def _jackknifed(whole: np.float64, left: Floats, level: float) -> Interval:
    """Return a correlation with its interval, from its values without each minimum, [n]."""
    n = len(left)
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled, transformed = np.arctanh(whole), np.arctanh(left)
        pseudo = n * scaled - (n - 1) * transformed
    if not math.isfinite(whole) or n < FEWEST or not np.isfinite(pseudo).all():
        return Interval(float(whole) if math.isfinite(whole) else None)
    half = float(stats.t.ppf((1 + level) / 2, n - 1) * pseudo.std(ddof=1) / math.sqrt(n))
    return Interval(float(whole), math.tanh(scaled - half), math.tanh(scaled + half))


def _tau(one: Floats, other: Floats) -> tuple[np.float64, Floats]:
    """Return τ-b of two matrices of signs [n, n], and τ-b without each of the n minima, [n]."""
    agree, first, second = (part.sum(axis=1) for part in (one * other, one**2, other**2))
    left = [total.sum() - 2 * total for total in (agree, first, second)]
    return agree.sum() / np.sqrt(first.sum() * second.sum()), left[0] / np.sqrt(left[1] * left[2])


def _partial(
    mg: tuple[np.float64, Floats], mc: tuple[np.float64, Floats], gc: tuple[np.float64, Floats]
) -> tuple[np.float64, Floats]:
    def one(a: Floats, b: Floats, c: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            found: Floats = (a - b * c) / np.sqrt((1 - b**2) * (1 - c**2))
        return found

    whole = one(*(np.asarray(tau[0]) for tau in (mg, mc, gc)))
    return np.float64(whole), one(mg[1], mc[1], gc[1])


def seed_share(values: Floats, settings: Sequence[object]) -> float | None:
    """Return the share of the variance between runs that the seed makes; None without settings of several seeds.

    That is the variance within settings, over those of several seeds, divided by its sum with the variance between
    settings: that of the settings' means, less what the seeds contribute to it.

    Args:
        values:   of each run, [n].
        settings: what identifies the setting of each run.

    Source:
        Searle, Casella & McCulloch, Variance Components, 1992, chapter 3 (one-way, unbalanced).
    """
    groups: dict[object, list[float]] = {}
    for setting, value in zip(settings, values, strict=True):
        if math.isfinite(value):
            groups.setdefault(setting, []).append(float(value))
    several = [group for group in groups.values() if len(group) > 1]
    if not several or len(groups) < 3:
        return None
    freedom = [len(group) - 1 for group in several]
    within = float(np.average([np.var(group, ddof=1) for group in several], weights=freedom))
    of_means = float(np.var([np.mean(group) for group in groups.values()], ddof=1))
    between = max(0.0, of_means - within * float(np.mean([1 / len(group) for group in groups.values()])))
    return within / (within + between) if within + between > 0 else None


def paired_bootstrap(
    first: Mapping[str, NDArray[np.bool_]],
    second: Mapping[str, NDArray[np.bool_]],
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return the difference of two mean test errors, first less second, with a bootstrap interval.

    Seeds and test images are resampled, and both methods have the same ones each time.

    Args:
        first, second: seed → which test images are classified correctly, [images]; seeds of one alone are left out.
    """
    shared = sorted(first.keys() & second.keys())
    if not shared:
        return Interval(None)
    # error of the first less that of the second, for each seed and image, [seeds, images]
    difference = np.array([second[one].astype(float) - first[one] for one in shared])
    value = float(difference.mean())
    if len(shared) < 2:
        return Interval(value)
    rng, (seeds, images) = np.random.default_rng(seed), difference.shape
    shares = np.full(images, 1 / images)
    found = [
        difference[rng.integers(seeds, size=seeds)].mean(axis=0) @ rng.multinomial(images, shares) / images
        for _ in range(resamples)
    ]
    low, high = np.percentile(found, [2.5, 97.5])
    return Interval(value, float(low), float(high))
