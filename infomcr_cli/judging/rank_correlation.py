"""Kendall's τ-b and Spearman's ρ, and their bootstrap over minima.

A resample with counts c has P − Q = ½ cᵀ(sign Δμ ∘ sign Δg)c, where P and Q are its concordant and discordant pairs.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from infomcr_cli.judging.bootstrap import interval
from infomcr_cli.judging.result import Estimate, number

_DENSE = 4000  # largest n for which the matrix of signs [n, n] is built
_FEW = 200  # resamples of larger tables


def estimate_tau(measure: np.ndarray, gap: np.ndarray, counts: np.ndarray) -> tuple[Estimate, np.ndarray]:
    """Return τ-b with its interval, and τ-b of each resample; see `tau_b` and `tau_b_resampled`."""
    return _estimate(tau_b(measure, gap), tau_b_resampled(measure, gap, counts), len(measure))


def estimate_rho(measure: np.ndarray, gap: np.ndarray, counts: np.ndarray) -> tuple[Estimate, np.ndarray]:
    """Return ρ with its interval, and ρ of each resample; see `spearman_rho` and `spearman_rho_resampled`."""
    return _estimate(spearman_rho(measure, gap), spearman_rho_resampled(measure, gap, counts), len(measure))


def _estimate(value: float, samples: np.ndarray, n: int) -> tuple[Estimate, np.ndarray]:
    low, high = interval(samples) if np.isfinite(value) else (None, None)
    return Estimate(number(value), low, high, n), samples


def dense_ranks(values: np.ndarray) -> np.ndarray:
    """Return ranks 0, 1, … with equal ranks for equal values, int64 [n]."""
    return np.unique(values, return_inverse=True)[1].reshape(-1)


def tau_b(measure: np.ndarray, gap: np.ndarray) -> float:
    """Return Kendall's τ-b in [−1, 1], NaN if the measure or the gap is constant.

    Args:
        measure: finite, [n].
        gap:     finite, [n].

    Source:
        Kendall, 1945; computed by `scipy.stats.kendalltau`.

    Examples:
        >>> round(tau_b(np.array([1, 2, 3]), np.array([1, 3, 2])), 12)
        0.333333333333
    """
    if len(measure) < 2 or np.ptp(dense_ranks(measure)) == 0 or np.ptp(dense_ranks(gap)) == 0:
        return float("nan")
    return float(stats.kendalltau(dense_ranks(measure), dense_ranks(gap)).statistic)


def tau_b_resampled(measure: np.ndarray, gap: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return τ-b of each resample, NaN if the measure or the gap is constant in it.

    Above 4,000 minima only the first 200 resamples are used, because each then costs a sort.

    Args:
        measure: finite, [n].
        gap:     finite, [n].
        counts:  [B, n], see `resample_counts`.

    Returns:
        float64 [B], or [200] for a larger table.
    """
    first, second = dense_ranks(measure), dense_ranks(gap)
    if len(measure) > _DENSE:
        return np.array([_tau_of_counts(first, second, row) for row in counts[:_FEW]])
    signs = np.sign(first[:, None] - first).astype(np.float32) * np.sign(second[:, None] - second).astype(np.float32)
    balance = np.einsum("bi,bi->b", counts @ signs, counts, dtype=np.float64)
    untied = distinct_pairs(first, counts) * distinct_pairs(second, counts)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(untied > 0, balance / np.sqrt(untied), np.nan)


def distinct_pairs(ranks: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the number of ordered pairs of unequal rank in each resample, float64 [B].

    Args:
        ranks:  dense ranks, [n].
        counts: [B, n].
    """
    if not len(ranks):
        return np.zeros(len(counts))
    by_value = _counts_by_value(ranks, counts)
    return np.asarray(by_value.sum(axis=1) ** 2 - (by_value**2).sum(axis=1))


def _tau_of_counts(measure: np.ndarray, gap: np.ndarray, counts: np.ndarray) -> float:
    chosen = np.repeat(np.arange(len(counts)), counts.astype(np.int64))
    return tau_b(measure[chosen], gap[chosen])


def spearman_rho(measure: np.ndarray, gap: np.ndarray) -> float:
    """Return Spearman's ρ in [−1, 1] with average ranks for ties, NaN if the measure or the gap is constant.

    Args:
        measure: finite, [n].
        gap:     finite, [n].

    Source:
        Spearman, 1904; computed by `scipy.stats.spearmanr`.

    Examples:
        >>> round(spearman_rho(np.array([1, 2, 3]), np.array([1, 3, 2])), 12)
        0.5
    """
    if len(measure) < 2 or np.ptp(dense_ranks(measure)) == 0 or np.ptp(dense_ranks(gap)) == 0:
        return float("nan")
    return float(stats.spearmanr(dense_ranks(measure), dense_ranks(gap)).statistic)


def spearman_rho_resampled(measure: np.ndarray, gap: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return ρ of each resample, NaN if the measure or the gap is constant in it.

    Args:
        measure: finite, [n].
        gap:     finite, [n].
        counts:  [B, n], see `resample_counts`.

    Returns:
        float64 [B].
    """
    counts = counts.astype(np.float64)
    first, second = _centred_ranks(dense_ranks(measure), counts), _centred_ranks(dense_ranks(gap), counts)
    covariance = np.einsum("bi,bi,bi->b", counts, first, second)
    scale = np.einsum("bi,bi->b", counts, first**2) * np.einsum("bi,bi->b", counts, second**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(scale > 0, np.clip(covariance / np.sqrt(scale), -1.0, 1.0), np.nan)


def _centred_ranks(ranks: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the average rank of each minimum in each resample, less the mean rank, float64 [B, n]."""
    if not len(ranks):
        return np.zeros_like(counts)
    by_value = _counts_by_value(ranks, counts)
    # the smaller values and half of the ties: the average rank less ½
    middle = np.cumsum(by_value, axis=1) - by_value / 2
    return np.asarray(middle[:, ranks] - by_value.sum(axis=1, keepdims=True) / 2)


def _counts_by_value(ranks: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return how often each distinct rank occurs in each resample: [n] and [B, n] give float64 [B, values]."""
    order = np.argsort(ranks, kind="stable")
    starts = np.flatnonzero(np.diff(ranks[order], prepend=-1))
    return np.asarray(np.add.reduceat(counts[:, order].astype(np.float64), starts, axis=1))
