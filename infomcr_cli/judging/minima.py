"""The minima that are ranked: gap, levels of the axes and measures of each, replicates averaged; and pairs of them.

Ψ and the sign error are computed from the pairs that agree on all axes but one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from infomcr_cli.errors import InputError
from infomcr_cli.judging.left_out import LeftOut, Missing
from infomcr_cli.judging.ties import merge_ties

ORACLE, RANDOM = "oracle", "random"
MOST_PAIRS = 20_000_000
ORACLE_NOISE = 0.1  # of the gap's standard deviation


@dataclass(frozen=True)
class Minima:
    """Single runs, or the minima that are ranked.

    Attributes:
        gap:        g, finite, float64 [n].
        levels:     index of each axis's value in the order of the values, int64 [n, A].
        axes:       names of the A axes.
        names:      names of the M measures.
        measures:   μ, NaN where missing, float64 [n, M].
        rows:       runs that entered, replicates counted.
        replicates: runs that agree on all axes are averaged: they differ in the seed, or are copies.
        mixed:      measures whose numbers are of several conventions.
        left_out:   what is not here, and why.
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


def ranked_minima(runs: Minima, *, average: bool) -> Minima:
    """Return one minimum for each combination of levels, or for each run, with nearly equal numbers made equal.

    The minima come in the order of their levels, so the order of the runs changes nothing. A gap is a difference of
    numbers near 1, so two gaps are equal if they differ by at most 1e-12, or by 1e-12 of gaps larger than 1.

    Args:
        average: average runs that agree on all axes; otherwise each run is a minimum.
    """
    order = np.lexsort((*runs.measures.T[::-1], runs.gap, *runs.levels.T[::-1]))  # the last key sorts first
    levels, group = runs.levels[order], np.arange(runs.n)
    if average and runs.n:
        levels, group = np.unique(levels, axis=0, return_inverse=True)  # [minima, A], [runs]
        group = group.reshape(-1)  # NumPy 2.0.0 alone returns [runs, 1]
    gap, scale = _group_means(runs.gap[order], group, len(levels))
    columns = [merge_ties(*_group_means(column, group, len(levels))) for column in runs.measures[order].T]  # [M][n]
    return replace(
        runs,
        gap=merge_ties(gap, np.maximum(scale, 1.0)),
        levels=levels,
        measures=np.array(columns).T.reshape(len(levels), len(columns)),  # [M, n] -> [n, M], also for M = 0
    )


def control_minima(minima: Minima, seed: int) -> Minima:
    """Return the minima with two control measures: an oracle and a random one.

    The oracle is the gap with a tenth of its standard deviation as noise, so its statistics are about the best that a
    measure can reach. The statistics of the random measure show what chance alone achieves.
    """
    rng = np.random.default_rng([seed, 0x0AC1E])
    noise = rng.standard_normal((2, minima.n))  # of the oracle and of the random measure
    gap = without_huge(minima.gap)
    spread = float(np.std(gap)) if minima.n else 0.0
    values = np.stack([gap + ORACLE_NOISE * spread * noise[0], noise[1]], axis=1)  # [n, 2]
    return replace(minima, names=(ORACLE, RANDOM), measures=values, mixed=frozenset())


def without_huge(gap: np.ndarray) -> np.ndarray:
    """Return gaps in another unit if their squares would overflow."""
    largest = float(np.max(np.abs(gap), initial=0.0))
    return gap / largest if largest > 1e100 else gap


def missing_values(measures: np.ndarray, names: Sequence[str]) -> dict[str, Missing]:
    """Return the number of rows without a value, for the measures [n, M] that have any."""
    counts = np.isnan(measures).sum(axis=0).tolist()
    return {name: Missing(count) for name, count in zip(names, counts, strict=True) if count}


def _group_means(values: np.ndarray, group: np.ndarray, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of the known values of each group, NaN if there is none, and their largest magnitude."""
    known = np.isfinite(values)
    values, group = values[known], group[known]
    count, scale = np.bincount(group, minlength=groups), np.zeros(groups)
    np.maximum.at(scale, group, np.abs(values))  # an indexed assignment would keep the last value of a group
    # each value is divided before the sum, because a sum of huge values overflows
    sums = np.bincount(group, weights=values / count[group], minlength=groups)
    return np.where(count > 0, sums, np.nan), scale


@dataclass(frozen=True)
class AxisPairs:
    """All pairs i < j inside the groups of one axis.

    Attributes:
        axis:   name of the axis that may differ inside a group.
        first, second: indices of the two minima, int32 [P].
        group:  group of each pair, int32 [P].
        groups: number of groups.
        low, high: the smaller and the larger level of the pair on this axis, int32 [P].
    """

    axis: str
    first: np.ndarray
    second: np.ndarray
    group: np.ndarray
    groups: int
    low: np.ndarray
    high: np.ndarray


def axis_pairs(minima: Minima) -> tuple[AxisPairs, ...]:
    """Return the pairs of every axis.

    Raises:
        InputError: an axis has more than 2·10⁷ pairs.
    """
    return tuple(_pairs_of(minima, index) for index in range(len(minima.axes)))


def signs(ranks: np.ndarray, pairs: AxisPairs) -> np.ndarray:
    """Return the sign of the difference of ranks [n] of each pair, int8 [P]."""
    return np.asarray(np.sign(ranks[pairs.first] - ranks[pairs.second]), dtype=np.int8)


def _pairs_of(minima: Minima, index: int) -> AxisPairs:
    others = np.delete(minima.levels, index, axis=1)  # [n, A − 1]
    # no other axis separates the minima of a single axis: they are one group
    group = np.unique(others, axis=0, return_inverse=True)[1].reshape(-1) if others.size else np.zeros(minima.n, int)
    first, second = _within(group, minima.axes[index])
    one, two = minima.levels[first, index], minima.levels[second, index]  # [P]
    return AxisPairs(
        axis=minima.axes[index],
        first=first,
        second=second,
        group=group[first].astype(np.int32),
        groups=int(group.max(initial=-1)) + 1,
        low=np.minimum(one, two).astype(np.int32),
        high=np.maximum(one, two).astype(np.int32),
    )


def _within(group: np.ndarray, axis: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices i < j of all pairs that share a group; all groups of one size are handled at once."""
    sizes = np.bincount(group) if len(group) else np.zeros(0, np.int64)
    if (total := int((sizes * (sizes - 1) // 2).sum())) > MOST_PAIRS:
        advice = "List more axes, or rank a part of the table."
        raise InputError(f"axis {axis!r} must give at most {MOST_PAIRS:,} pairs", received=total, advice=advice)
    # members of group 0, of group 1 and so on, each in ascending order, [n]; where each group starts in it, [groups]
    order, starts = np.argsort(group, kind="stable"), np.cumsum(sizes) - sizes
    first, second = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)]
    for size in np.unique(sizes[sizes > 1]):
        members = order[starts[sizes == size][:, None] + np.arange(size)].astype(np.int32)  # [groups, size]
        one, two = np.triu_indices(size, 1)
        first.append(members[:, one].ravel())  # [groups · size (size − 1) / 2]
        second.append(members[:, two].ravel())
    return np.concatenate(first), np.concatenate(second)
