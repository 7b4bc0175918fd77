"""The score of the competition "Predicting Generalization in Deep Learning" (NeurIPS 2020), a relative of K.

It differs from K in four ways: only sets S of exactly two axes count; every combination of the values that two minima
take on S has the same weight, however many pairs it has; ties, and each minimum paired with itself, count as "not
larger"; and information and entropy are averaged before they are divided.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from infomcr_cli.judging.entropies import entropy_terms
from infomcr_cli.judging.minima import Minima
from infomcr_cli.judging.result import CompetitionScore, number

MOST_MINIMA = 2000  # all n² ordered pairs are held in memory
_EPSILON = 1e-12  # inside the logarithm of the entropy, as in the competition's program


def pgdl_cmi(minima: Minima, ranks: np.ndarray) -> list[CompetitionScore]:
    """Return the score of every measure: the minimum over pairs of axes of mean I(V_μ; V_g) / mean H(V_g).

    Undefined with fewer than two axes, if every gap is alike, or above 2,000 minima. In an incomplete grid the means
    are over the combinations that occur. If two axes tell all minima apart, each of their combinations has one pair of
    minima, and the score is 0 whatever the measure, as in the competition's program.

    Args:
        ranks: dense ranks of each measure, −1 where missing, which leaves the minimum out, [n, M].

    Source:
        Jiang et al., 2020, arXiv:2012.07976; program `scoring_program/mutual_information.py`, Apache-2.0.
    """
    scores = np.full((ranks.shape[1], len(minima.axes) * (len(minima.axes) - 1) // 2), np.nan)  # [M, pairs of axes]
    chosen = list(combinations(range(len(minima.axes)), 2))  # I and H are symmetric in the two axes
    if minima.n <= MOST_MINIMA and minima.n and np.ptp(minima.gap):
        cells = [_cells(minima.levels[:, pair]) for pair in chosen]
        for m, column in enumerate(ranks.T):
            have, state = column >= 0, _states(column, minima.gap)
            if not have.any() or not np.ptp(minima.gap[have]):
                continue
            kept = ... if have.all() else np.ix_(have, have)
            scores[m] = [_score(state[kept], cell[kept]) for cell in cells]
    return [_lowest(row, [(minima.axes[i], minima.axes[j]) for i, j in chosen]) for row in scores]


def _lowest(scores: np.ndarray, axes: list[tuple[str, str]]) -> CompetitionScore:
    if not np.isfinite(scores).any():
        return CompetitionScore()
    index = int(np.nanargmin(scores))
    return CompetitionScore(number(scores[index]), axes[index])


def _cells(levels: np.ndarray) -> np.ndarray:
    """Return the combination of values that each ordered pair of minima takes on two axes [n, 2], int32 [n, n]."""
    value = np.unique(levels, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int32)
    return np.asarray(value[:, None] * (value.max() + 1) + value)


def _states(measure: np.ndarray, gap: np.ndarray) -> np.ndarray:
    """Return 2·[μ_i > μ_j] + [g_i > g_j], int32 [n, n]."""
    return 2 * (measure[:, None] > measure).astype(np.int32) + (gap[:, None] > gap)


def _score(state: np.ndarray, cell: np.ndarray) -> float:
    """Return mean I(V_μ; V_g) over mean H(V_g) of some ordered pairs; NaN if that cannot be had."""
    counts = np.bincount((4 * cell + state).ravel()).astype(float)
    counts = np.pad(counts, (0, -len(counts) % 4)).reshape(-1, 2, 2)
    shares = counts[counts.any(axis=(1, 2))]  # [cells, V_μ, V_g]
    shares /= shares.sum(axis=(1, 2), keepdims=True)
    mu, g = shares.sum(axis=2), shares.sum(axis=1)
    information = entropy_terms(mu).sum(axis=1) + entropy_terms(g).sum(axis=1) - entropy_terms(shares).sum(axis=(1, 2))
    entropy = -(g * np.log(g + _EPSILON)).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(information.sum() / entropy.sum()) if len(shares) else np.nan
