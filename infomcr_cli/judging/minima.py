"""The minima that are ranked: replicates averaged, and numbers that agree to 12 significant digits made equal.

Equal numbers come out unlike in their last bits: 0.8 − 0.7 and 1.0 − 0.9, or the means of 0.1 and 0.7 and of 0.4 and
0.4. Ranked as they are, such ties would be decided by rounding. Real differences are far larger: gaps of error on
50,000 and 10,000 images differ by 2e-9 or more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from infomcr_cli.judging.left_out import LeftOut, Missing

DIGITS = 12  # significant digits to which numbers are told apart
TOLERANCE = 10.0**-DIGITS


@dataclass(frozen=True)
class Minima:
    """Single runs, or the minima that are ranked.

    Attributes:
        gap:        g, finite, float64 [n].
        levels:     index of each axis's value in their order, int64 [n, A].
        axes:       names of the A axes.
        names:      names of the M measures.
        measures:   μ, NaN where missing, float64 [n, M].
        rows:       runs that entered, replicates counted.
        replicates: runs that agree on all axes differ in their seed alone and are averaged.
        mixed:      measures whose numbers are of several conventions.
        left_out:   what is not here.
    """

    gap: np.ndarray
    levels: np.ndarray
    axes: tuple[str, ...]
    names: tuple[str, ...]
    measures: np.ndarray
    rows: int
    replicates: bool = True
    mixed: frozenset[str] = frozenset()
    left_out: LeftOut = field(default_factory=LeftOut)

    @property
    def n(self) -> int:
        """Number of minima."""
        return len(self.gap)


def settled(runs: Minima, *, average: bool) -> Minima:
    """Return one minimum for each combination of levels, or for each run, with nearly equal numbers made equal.

    The minima come in the order of their levels, so that the order of the runs decides nothing. A gap is a difference
    of numbers near 1, so two gaps are equal when they differ by at most 1e-12, or by 1e-12 of gaps larger than 1.
    """
    order = np.lexsort((*runs.measures.T[::-1], runs.gap, *runs.levels.T[::-1]))  # the last key sorts first
    levels, group = runs.levels[order], np.arange(runs.n)
    if average and runs.n:
        levels, group = np.unique(levels, axis=0, return_inverse=True)
        group = group.reshape(-1)
    gap, scale = _means(runs.gap[order], group, len(levels))
    columns = [tied(*_means(column, group, len(levels))) for column in runs.measures[order].T]
    return replace(
        runs,
        gap=tied(gap, np.maximum(scale, 1.0)),
        levels=levels,
        measures=np.array(columns).T.reshape(len(levels), len(columns)),
    )


def tied(values: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return values [n] in which neighbours that differ by at most 1e-12 of `scale` are equal; NaN stays NaN.

    Args:
        scale: the largest magnitude that a value was computed from, [n].

    Example: tied(np.array([0.3, 0.1 * 3]), np.array([0.3, 0.3])) is [0.3, 0.3].
    """
    known = np.flatnonzero(np.isfinite(values))
    order = known[np.argsort(values[known], kind="stable")]
    ascending, sizes = values[order], scale[order]
    with np.errstate(over="ignore"):
        apart = np.diff(ascending) > TOLERANCE * np.maximum(sizes[1:], sizes[:-1])
    # each run of equal numbers takes the value of its first, which is the smallest
    first = np.maximum.accumulate(np.where(np.append(True, apart)[: len(order)], np.arange(len(order)), 0))
    equal = values.copy()
    equal[order] = ascending[first]
    return equal


def missing(measures: np.ndarray, names: Sequence[str]) -> dict[str, Missing]:
    """Return the number of rows in which each measure [n, M] is missing, for the measures that miss any."""
    counts = np.isnan(measures).sum(axis=0).tolist()
    return {name: Missing(count) for name, count in zip(names, counts, strict=True) if count}


def _means(values: np.ndarray, group: np.ndarray, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of the known values of each group, NaN where there is none, and their largest magnitude."""
    known = np.isfinite(values)
    values, group = values[known], group[known]
    count, scale = np.bincount(group, minlength=groups), np.zeros(groups)
    np.maximum.at(scale, group, np.abs(values))
    sums = np.bincount(group, weights=values / count[group], minlength=groups)  # shares: a sum may overflow
    return np.where(count > 0, sums, np.nan), scale


ORACLE, RANDOM = "oracle", "random"
ORACLE_NOISE = 0.1  # of the gap's standard deviation


def control_minima(minima: Minima, seed: int) -> Minima:
    """Return the minima with two measures, an oracle (the gap and a tenth of its spread as noise) and a random one."""
    rng = np.random.default_rng([seed, 0x0AC1E])
    noise = rng.standard_normal((2, minima.n))
    spread = float(np.std(minima.gap)) if minima.n else 0.0
    values = np.stack([minima.gap + ORACLE_NOISE * spread * noise[0], noise[1]], axis=1)
    return replace(minima, names=(ORACLE, RANDOM), measures=values, mixed=frozenset())
