"""Spearman's ρ and its bootstrap: average ranks of a resample from cumulated counts, without sorting again."""

from __future__ import annotations

import numpy as np
from scipy import stats

from infomcr_cli.report.kendall import dense_ranks


def spearman_rho(measure: np.ndarray, gap: np.ndarray) -> float:
    """Return Spearman's ρ in [−1, 1] with average ranks for ties, NaN where either side is constant.

    Args:    measure, gap: finite, [n].
    Source:  Spearman, 1904; computed by `scipy.stats.spearmanr`.
    Example: spearman_rho(np.array([1, 2, 3]), np.array([1, 3, 2])) is 0.5.
    """
    if len(measure) < 2 or np.ptp(dense_ranks(measure)) == 0 or np.ptp(dense_ranks(gap)) == 0:
        return float("nan")
    return float(stats.spearmanr(dense_ranks(measure), dense_ranks(gap)).statistic)


def spearman_rho_resampled(measure: np.ndarray, gap: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return ρ of each resample, float64 [B], NaN where a resample is constant on either side.

    Args: measure, gap: finite, [n]; counts: [B, n], see `resample_counts`.
    """
    counts = counts.astype(np.float64)
    first, second = _centred_ranks(dense_ranks(measure), counts), _centred_ranks(dense_ranks(gap), counts)
    covariance = np.einsum("bi,bi,bi->b", counts, first, second)
    scale = np.einsum("bi,bi->b", counts, first**2) * np.einsum("bi,bi->b", counts, second**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(scale > 0, np.clip(covariance / np.sqrt(scale), -1.0, 1.0), np.nan)


def _centred_ranks(ranks: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return each thing's average rank in each resample, less the mean rank, float64 [B, n]."""
    if not len(ranks):
        return np.zeros_like(counts)
    order = np.argsort(ranks, kind="stable")
    starts = np.flatnonzero(np.diff(ranks[order], prepend=-1))
    by_value = np.add.reduceat(counts[:, order], starts, axis=1)
    middle = np.cumsum(by_value, axis=1) - by_value / 2  # below, and half of the ties: the rank less ½
    return np.asarray(middle[:, ranks] - by_value.sum(axis=1, keepdims=True) / 2)
