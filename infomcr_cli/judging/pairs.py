"""Pairs of minima that agree on all axes but one, from which Ψ and the sign error are computed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from infomcr_cli.errors import InputError
from infomcr_cli.judging.minima import Minima

MOST_PAIRS = 20_000_000


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
    others = np.delete(minima.levels, index, axis=1)
    group = np.unique(others, axis=0, return_inverse=True)[1].reshape(-1) if others.size else np.zeros(minima.n, int)
    first, second = _within(group, minima.axes[index])
    one, two = minima.levels[first, index], minima.levels[second, index]
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
        advice = "Name more axes, or rank a part of the table."
        raise InputError(f"axis {axis!r} must give at most {MOST_PAIRS:,} pairs", received=total, advice=advice)
    order, starts = np.argsort(group, kind="stable"), np.cumsum(sizes) - sizes
    first, second = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)]
    for size in np.unique(sizes[sizes > 1]):
        members = order[starts[sizes == size][:, None] + np.arange(size)].astype(np.int32)  # [groups, size]
        one, two = np.triu_indices(size, 1)
        first.append(members[:, one].ravel())
        second.append(members[:, two].ravel())
    return np.concatenate(first), np.concatenate(second)
