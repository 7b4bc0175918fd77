"""Kendall's τ-b and Spearman's ρ, and the influence of each minimum on them.

With a_ij = sign(μ_i − μ_j), b_ij = sign(g_i − g_j), U = Σ |a_ij| and V = Σ |b_ij| over ordered pairs,
τ = Σ a_ij b_ij / √(UV), and ρ is the correlation of the centred ranks r_i = ½ Σ_j a_ij and q_i = ½ Σ_j b_ij.
"""

from __future__ import annotations

import numpy as np

from infomcr_cli.judging.influence import Influence, nothing
from infomcr_cli.judging.result import Estimate, number

_WHOLE = 4000  # minima up to which each is compared with every other one for its influence
_SAMPLE = 2000  # minima that each is compared with in larger tables
_BLOCK = 4_000_000  # pairs that are held in memory


def estimate(influence: Influence, n: int) -> Estimate:
    """Return a rank correlation over n minima with its interval."""
    low, high = influence.interval()
    return Estimate(number(influence.value), low, high, n)


def dense_ranks(values: np.ndarray) -> np.ndarray:
    """Return ranks 0, 1, … with equal ranks for equal values, int64 [n]."""
    return np.unique(values, return_inverse=True)[1].reshape(-1)


def average_ranks(values: np.ndarray) -> np.ndarray:
    """Return ranks 1, 2, … with the mean of their ranks for equal values, float64 [n].

    Examples:
        >>> average_ranks(np.array([5, 2, 5])).tolist()
        [2.5, 1.0, 2.5]
    """
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    # the last rank of k equal values is the sum of counts so far; the mean is (k − 1) / 2 below it
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[place.reshape(-1)])


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
    if _is_constant(measure) or _is_constant(gap):
        return float("nan")
    from scipy import stats  # half a second to import, and only large tables need it

    return float(stats.kendalltau(dense_ranks(measure), dense_ranks(gap)).statistic)


def spearman_rho(measure: np.ndarray, gap: np.ndarray) -> float:
    """Return Spearman's ρ in [−1, 1] with average ranks for ties, NaN if the measure or the gap is constant.

    Args:
        measure: finite, [n].
        gap:     finite, [n].

    Source:
        Spearman, 1904: Pearson's correlation of the ranks.

    Examples:
        >>> round(spearman_rho(np.array([1, 2, 3]), np.array([1, 3, 2])), 12)
        0.5
    """
    if _is_constant(measure) or _is_constant(gap):
        return float("nan")
    return float(np.corrcoef(average_ranks(measure), average_ranks(gap))[0, 1])


def influence_on_tau_and_rho(measure: np.ndarray, gap: np.ndarray) -> tuple[Influence, Influence]:
    """Return τ-b and ρ with the influence of each minimum.

    In tables of more than 4,000 minima each minimum is compared with 2,000 of them, drawn with a fixed seed.

    Args:
        measure: dense ranks, [n].
        gap:     dense ranks, [n].

    Source:
        Variance of τ by its projection: Noether, Elements of Nonparametric Statistics, 1967; of ρ: its influence
        function, Croux & Dehon, Statistical Methods & Applications 19 (2010). Both on Fisher's z scale.
    """
    n = len(measure)
    if _is_constant(measure) or _is_constant(gap):
        return nothing(n), nothing(n)
    r, q = (average_ranks(values) - (n + 1) / 2 for values in (measure, gap))
    c, u, v, ar, aq, br, bq = _pair_sums(r, q).T  # [n] each
    root = np.sqrt(u.sum() * v.sum())
    tau = float(c.sum() / root) if n <= _WHOLE else tau_b(measure, gap)
    rho = float(np.clip((r * q).sum() / np.sqrt((r * r).sum() * (q * q).sum()), -1, 1))
    on_tau = 2 * (c / root - tau / 2 * (u / u.sum() + v / v.sum()))
    # r_j and q_j of all minima change with minimum i, by ½ sign(μ_j − μ_i) and ½ sign(g_j − g_i)
    shared, own, other = (x - x.mean() for x in (r * q - (br + aq) / 2, r * r - ar, q * q - bq))
    r_square, q_square = (r * r).sum(), (q * q).sum()
    on_rho = shared / np.sqrt(r_square * q_square) - rho / 2 * (own / r_square + other / q_square)
    pairs = n * (n - 1) / 2
    return Influence(tau, on_tau, n, 2 / pairs), Influence(rho, on_rho, n, 6 / (pairs * (n + 1)))


def _pair_sums(r: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Return for each i the sums over j of ab, |a|, |b|, a·r, a·q, b·r and b·q, float64 [n, 7]."""
    n = len(r)
    others = np.arange(n) if n <= _WHOLE else np.random.default_rng(n).choice(n, _SAMPLE, replace=False)
    weights = np.stack([r, q], axis=1)[others].astype(np.float32)  # [others, 2]
    centred = r.astype(np.float32), q.astype(np.float32)  # exact: multiples of ½
    found = []
    for start in range(0, n, step := max(1, _BLOCK // len(others))):
        rows = slice(start, start + step)
        a, b = (np.sign(x[rows, None] - x[others]) for x in centred)  # [rows, others]
        plain = np.stack([(a * b).sum(axis=1), np.abs(a).sum(axis=1), np.abs(b).sum(axis=1)], axis=1)  # [rows, 3]
        found.append(np.concatenate([plain, a @ weights, b @ weights], axis=1))  # [rows, 7]
    return np.concatenate(found).astype(np.float64) * (n / len(others))


def _is_constant(values: np.ndarray) -> bool:
    return len(values) < 2 or bool(np.ptp(dense_ranks(values)) == 0)
