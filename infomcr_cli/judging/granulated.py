"""Granulated Kendall coefficient Ψ: rank correlation when one hyperparameter moves and the others stand still."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from infomcr_cli.judging.bootstrap import interval
from infomcr_cli.judging.pairs import AxisPairs, signs
from infomcr_cli.judging.result import Granulated, number

FEWEST_GROUPS = 2  # of one axis, below which resampling groups is no interval


def group_taus(measure: np.ndarray, gap: np.ndarray, pairs: AxisPairs) -> np.ndarray:
    """Return τ-b inside each group of an axis that has a say, float64 [groups].

    A group with constant gap is NaN (left out); one where the gap varies and the measure is constant is 0. Minima
    whose measure is missing (rank −1) are left out.

    Args:
        measure,
        gap: dense ranks, [n].
    """
    known = (measure[pairs.first] >= 0) & (measure[pairs.second] >= 0)
    mu, g = signs(measure, pairs) * known, signs(gap, pairs) * known
    balance, mu_varies, g_varies = (
        np.bincount(pairs.group, weights=part, minlength=pairs.groups) for part in (mu * g, mu != 0, g != 0)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        tau = np.where(mu_varies > 0, balance / np.sqrt(mu_varies * g_varies), 0.0)
    return np.where(g_varies > 0, tau, np.nan)


def psi_resampled(taus: Sequence[np.ndarray], resamples: int, seed: int) -> np.ndarray:
    """Return Ψ of each resample of the groups of every axis, float64 [B]; axes without a group have no say.

    An axis draws from its own stream, so that measures with the same groups are resampled alike. Where no axis has two
    groups every resample would be the same; then they are NaN, for that sameness says nothing of how sure Ψ is.
    """
    usable = [tau[np.isfinite(tau)] for tau in taus]
    if max((len(tau) for tau in usable), default=0) < FEWEST_GROUPS:
        return np.full(resamples, np.nan)
    means = []
    for index, tau in enumerate(usable):
        if len(tau):
            rng = np.random.default_rng([seed, index, len(tau)])
            means.append(_resampled_mean(tau, resamples, rng))
    return np.asarray(np.mean(means, axis=0))


def granulated_psi(taus: Mapping[str, np.ndarray], samples: np.ndarray) -> Granulated:
    """Return Ψ with ψ by axis.

    Args:
        taus: axis → τ of its groups;
        samples: Ψ of the resamples, [B].

    Source:  Jiang et al., ICLR 2020, arXiv:1912.02178, section 4.
    """
    usable = {axis: tau[np.isfinite(tau)] for axis, tau in taus.items()}
    axes = {axis: number(tau.mean()) if len(tau) else None for axis, tau in usable.items()}
    known = [psi for psi in axes.values() if psi is not None]
    low, high = interval(samples)
    return Granulated(
        value=number(float(np.mean(known))) if known else None,
        low=low,
        high=high,
        axes=axes,
        groups={axis: len(tau) for axis, tau in usable.items()},
    )


def _resampled_mean(values: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    step = max(1, 2_000_000 // len(values))
    sizes = [min(step, resamples - start) for start in range(0, resamples, step)]
    return np.concatenate([values[rng.integers(len(values), size=(rows, len(values)))].mean(axis=1) for rows in sizes])
