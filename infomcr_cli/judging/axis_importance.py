"""How much of the gap's variance between minima each axis explains on its own."""

from __future__ import annotations

import numpy as np

from infomcr_cli.judging.minima import Minima, without_huge
from infomcr_cli.judging.result import number


def axis_importance(minima: Minima) -> dict[str, float | None]:
    """Return ω² of each axis: the share of the variance of the gap that lies between its levels, less that by chance.

    0 if the levels differ no more than chance lets them, None if an axis has a single level or no level has two minima.
    The shares of a balanced grid and what axes explain only together add up to about 1.

    Source:
        One-way analysis of variance; ω²: Hays, Statistics, 1963.

    Examples:
        >>> levels = np.array([[0], [0], [1], [1]])
        >>> axis_importance(Minima(np.array([1.0, 2.0, 7.0, 8.0]), levels, ("lr",), (), np.zeros((4, 0)), 4))
        {'lr': 0.946666666667}
    """
    gap = without_huge(minima.gap)
    return {axis: _omega_squared(gap, minima.levels[:, index]) for index, axis in enumerate(minima.axes)}


def _omega_squared(gap: np.ndarray, levels: np.ndarray) -> float | None:
    kinds, level = np.unique(levels, return_inverse=True)  # [groups], [n]
    groups, freedom = len(kinds), len(gap) - len(kinds)
    if groups < 2 or freedom < 1 or not np.ptp(gap):
        return None
    means = np.bincount(level.reshape(-1), weights=gap) / np.bincount(level.reshape(-1))  # [groups]
    residual = np.square(gap - means[level.reshape(-1)]).sum() / freedom
    total = np.square(gap - gap.mean()).sum()
    between = total - residual * freedom
    share = (between - (groups - 1) * residual) / (total + residual)
    return number(round(max(share, 0.0), 12))
