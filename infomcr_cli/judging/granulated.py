"""Granulated Kendall coefficient Ψ: rank correlation when one hyperparameter changes and the others are fixed.

For each axis ψ is the mean of τ over the groups of minima that agree on all other axes; Ψ is the mean of ψ over axes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from infomcr_cli.judging.bootstrap import interval
from infomcr_cli.judging.pairs import AxisPairs, signs
from infomcr_cli.judging.result import Granulated, number

FEWEST_GROUPS = 2  # of one axis; fewer give no interval, because every resample is the same


def estimate_psi(
    measure: np.ndarray, gap: np.ndarray, pairs: Sequence[AxisPairs], resamples: int, seed: int
) -> tuple[Granulated, np.ndarray]:
    """Return Ψ with its interval and ψ of each axis, and Ψ of each resample of the groups, [B].

    Args:
        measure: dense ranks, [n]; −1 where missing.
        gap:     dense ranks, [n].
        pairs:   of every axis.

    Source:
        Jiang et al., ICLR 2020, arXiv:1912.02178, section 4.
    """
    taus = {one.axis: group_taus(measure, gap, one) for one in pairs}
    usable = {axis: tau[np.isfinite(tau)] for axis, tau in taus.items()}
    axes = {axis: number(tau.mean()) if len(tau) else None for axis, tau in usable.items()}
    known = [psi for psi in axes.values() if psi is not None]
    samples = _resampled_psi(list(usable.values()), resamples, seed)
    low, high = interval(samples)
    psi = Granulated(
        value=number(float(np.mean(known))) if known else None,
        low=low,
        high=high,
        axes=axes,
        groups={axis: len(tau) for axis, tau in usable.items()},
    )
    return psi, samples


def group_taus(measure: np.ndarray, gap: np.ndarray, pairs: AxisPairs) -> np.ndarray:
    """Return τ-b inside each group of an axis.

    A group with a constant gap is NaN, which leaves it out. A group in which the gap varies and the measure is
    constant is 0.

    Args:
        measure: dense ranks, [n]; −1 where missing, which leaves the minimum out.
        gap:     dense ranks, [n].
        pairs:   of the axis.

    Returns:
        float64 [groups].
    """
    known = (measure[pairs.first] >= 0) & (measure[pairs.second] >= 0)
    mu, g = signs(measure, pairs) * known, signs(gap, pairs) * known  # [P]
    balance, mu_varies, g_varies = (
        np.bincount(pairs.group, weights=part, minlength=pairs.groups) for part in (mu * g, mu != 0, g != 0)
    )  # sums over the pairs of each group, [groups]
    with np.errstate(invalid="ignore", divide="ignore"):
        tau = np.where(mu_varies > 0, balance / np.sqrt(mu_varies * g_varies), 0.0)
    return np.where(g_varies > 0, tau, np.nan)


def _resampled_psi(taus: Sequence[np.ndarray], resamples: int, seed: int) -> np.ndarray:
    """Return Ψ of each resample of the groups of every axis, float64 [B]; axes without a group are left out.

    Each axis draws from its own random stream, so measures with the same groups get the same resamples. If no axis has
    two groups, every resample would be the same and would not show how precise Ψ is; then all are NaN.

    Args:
        taus: for each axis τ of its usable groups.
    """
    if max((len(tau) for tau in taus), default=0) < FEWEST_GROUPS:
        return np.full(resamples, np.nan)
    means = []
    for index, tau in enumerate(taus):
        if len(tau):
            rng = np.random.default_rng([seed, index, len(tau)])
            means.append(_resampled_mean(tau, resamples, rng))
    return np.asarray(np.mean(means, axis=0))  # over axes: [A, B] -> [B]


def _resampled_mean(values: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Return the mean of each resample of some values, [B], in blocks that fit in memory."""
    step = max(1, 2_000_000 // len(values))
    sizes = [min(step, resamples - start) for start in range(0, resamples, step)]
    return np.concatenate([values[rng.integers(len(values), size=(rows, len(values)))].mean(axis=1) for rows in sizes])
