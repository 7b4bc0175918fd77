"""Conditional mutual information K between the orders that a measure and the gap give to pairs of minima.

With it the score of the competition "Predicting Generalization in Deep Learning" (NeurIPS 2020). It differs from K in
four ways: only sets S of exactly two axes count; every combination of the values that two minima take on S has the
same weight, however many pairs it has; ties, and each minimum paired with itself, count as "not larger"; and
information and entropy are averaged before they are divided.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, combinations

import numpy as np

from infomcr_cli.judging.minima import Minima
from infomcr_cli.judging.rank_correlation import dense_ranks
from infomcr_cli.judging.result import CompetitionScore, ConditionalInformation, number

EXACT_UP_TO = 2000  # minima; larger tables are sampled
SAMPLED_PAIRS = 2_000_000
MOST_IN_COMPETITION = 2000  # all n² ordered pairs are held in memory
_EPSILON = 1e-12  # inside the logarithm of the entropy, as in the competition's program
_UNUSED = 4  # state of a pair with Δμ = 0, Δg = 0 or a missing μ
_TURNED = np.array([0, 1, 2, 3, 4, 3, 2, 1, 0, 4], np.int8)  # second half: the same pair in the other order


@dataclass(frozen=True)
class _Condition:
    """U_S of each unordered pair, turned so that the smaller combination of levels comes first.

    The mirrored pair has the mirrored condition and both signs flipped, so it adds the same to every entropy and one
    of the two is enough. If both combinations are equal, the counts must be made symmetric.

    Attributes:
        code:      number of the condition of each pair, [P].
        turned:    5 if the pair was turned, else 0, int8 [P].
        symmetric: both combinations of the condition are equal, bool [codes].
    """

    code: np.ndarray
    turned: np.ndarray
    symmetric: np.ndarray


def conditional_information(minima: Minima, ranks: np.ndarray, seed: int) -> list[ConditionalInformation]:
    """Return K of every measure: the minimum over |S| ≤ 2 of I(V_μ; V_g | U_S) / H(V_g | U_S).

    A set S with H(V_g | U_S) = 0 is skipped. Exact up to 2,000 minima, above that on a seeded sample of 2·10⁶ pairs.

    Args:
        ranks: dense ranks of each measure, −1 where missing, [n, M].
        seed:  of the sample.

    Source:
        Jiang et al., ICLR 2020, arXiv:1912.02178, section 4.
    """
    sampled = minima.n > EXACT_UP_TO
    if sampled:
        rng = np.random.default_rng([seed, minima.n])
        first = rng.integers(minima.n, size=SAMPLED_PAIRS)  # [P]
        second = (first + rng.integers(1, minima.n, size=SAMPLED_PAIRS)) % minima.n  # [P], never the same minimum
    else:
        first, second = np.triu_indices(minima.n, 1)  # [P], each unordered pair once
    gap = np.sign(dense_ranks(minima.gap)[first] - dense_ranks(minima.gap)[second])  # [P]
    states = [_states(column, gap, first, second) for column in ranks.T]
    best: list[tuple[float, tuple[int, ...]]] = [(np.inf, ())] * len(states)
    for chosen in chain.from_iterable(combinations(range(len(minima.axes)), size) for size in range(3)):  # every S
        condition = _condition(minima.levels[:, chosen], first, second)
        for index, state in enumerate(states):
            best[index] = min(best[index], (_ratio(state, condition), chosen))
    factor = 1 if sampled else 2  # an exact list holds each unordered pair once
    return [
        ConditionalInformation(
            value=number(value),
            pairs_used=_share(column, first, second),
            pairs=factor * int((state != _UNUSED).sum()),
            sampled=sampled,
            given=tuple(minima.axes[i] for i in chosen) if np.isfinite(value) else None,
        )
        for (value, chosen), state, column in zip(best, states, ranks.T, strict=True)
    ]


def _states(ranks: np.ndarray, gap: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return 2·[Δμ > 0] + [Δg > 0] of each pair, or `_UNUSED`, int8 [P].

    Args:
        gap: sign Δg of each pair, [P].
    """
    one, two = ranks[first], ranks[second]
    used = (one >= 0) & (two >= 0) & (one != two) & (gap != 0)
    return np.where(used, 2 * (one > two) + (gap > 0), _UNUSED).astype(np.int8)


def _share(ranks: np.ndarray, first: np.ndarray, second: np.ndarray) -> float | None:
    """Return the share of pairs with Δμ ≠ 0 among those with both values."""
    one, two = ranks[first], ranks[second]
    known = (one >= 0) & (two >= 0)
    return number((known & (one != two)).sum() / known.sum()) if known.any() else None


def _condition(levels: np.ndarray, first: np.ndarray, second: np.ndarray) -> _Condition:
    """Return U_S of each pair; `levels` are those of the axes in S, [n, |S|]."""
    if not levels.shape[1]:
        return _Condition(np.zeros(len(first), np.int64), np.zeros(len(first), np.int8), np.ones(1, bool))
    # reshape: NumPy 2.0.0 alone returns the inverse as [n, 1]
    value = np.unique(levels, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)  # [n]
    one, two = value[first], value[second]  # [P]
    width = int(value.max(initial=0)) + 1
    code, kinds = np.minimum(one, two) * width + np.maximum(one, two), np.arange(min(width**2, len(first)))
    if width**2 > len(first):  # most conditions never occur: number only those that do
        kinds, code = np.unique(code, return_inverse=True)
    return _Condition(code, np.where(one > two, 5, 0).astype(np.int8), kinds // width == kinds % width)


def _ratio(state: np.ndarray, condition: _Condition) -> float:
    """Return I(V_μ; V_g | U) / H(V_g | U), or infinity if the entropy is zero."""
    kinds = len(condition.symmetric)
    turned = _TURNED[condition.turned + state]
    counts = np.bincount(condition.code * 5 + turned, minlength=5 * kinds).reshape(kinds, 5)  # [U, state]
    counts = counts[:, :4].astype(float)  # without the unused pairs
    # The mirrored pair, with both signs flipped, falls under the same condition: state 3 − s instead of s.
    counts[condition.symmetric] += counts[condition.symmetric, ::-1]
    counts[condition.symmetric] /= 2
    table = counts[counts.any(axis=1)].reshape(-1, 2, 2)  # [U, V_μ, V_g]
    mu, g, total = table.sum(axis=2), table.sum(axis=1), table.sum(axis=(1, 2))  # [U, 2], [U, 2], [U]
    entropy = (total * entropy_terms(g / total[:, None]).sum(axis=1)).sum()
    expected = mu[:, :, None] * g[:, None, :] / total[:, None, None]  # [U, V_μ, V_g], if V_μ and V_g were independent
    # clipped because of rounding errors: K of a measure without information is 0, not −1e-17
    return float(np.clip(relative_terms(table, expected).sum() / entropy, 0.0, 1.0)) if entropy > 0 else np.inf


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
    if minima.n <= MOST_IN_COMPETITION and minima.n and np.ptp(minima.gap):
        cells = [_cells_of_pairs(minima.levels[:, pair]) for pair in chosen]
        for m, column in enumerate(ranks.T):
            have = column >= 0
            if not have.any() or not np.ptp(minima.gap[have]):
                continue
            state = 2 * (column[:, None] > column).astype(np.int32) + (minima.gap[:, None] > minima.gap)  # [n, n]
            kept = ... if have.all() else np.ix_(have, have)  # without a copy of n² states if no value is missing
            scores[m] = [_competition_score(state[kept], cell[kept]) for cell in cells]
    return [_lowest_score(row, [(minima.axes[i], minima.axes[j]) for i, j in chosen]) for row in scores]


def _lowest_score(scores: np.ndarray, axes: list[tuple[str, str]]) -> CompetitionScore:
    if not np.isfinite(scores).any():
        return CompetitionScore()
    index = int(np.nanargmin(scores))
    return CompetitionScore(number(scores[index]), axes[index])


def _cells_of_pairs(levels: np.ndarray) -> np.ndarray:
    """Return the combination of values that each ordered pair of minima takes on two axes [n, 2], int32 [n, n]."""
    value = np.unique(levels, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int32)  # [n]
    return np.asarray(value[:, None] * (value.max() + 1) + value)


def _competition_score(state: np.ndarray, cell: np.ndarray) -> float:
    """Return mean I(V_μ; V_g) over mean H(V_g) of some ordered pairs; NaN if it is undefined.

    Args:
        state: 2·[μ_i > μ_j] + [g_i > g_j] of each ordered pair, int32.
        cell:  combination of values that the pair takes on the two axes, of the same shape.
    """
    counts = np.bincount((4 * cell + state).ravel()).astype(float)
    # bincount ends at the last state that occurs, which need not be the fourth of its cell
    counts = np.pad(counts, (0, -len(counts) % 4)).reshape(-1, 2, 2)  # [cells, V_μ, V_g]
    shares = counts[counts.any(axis=(1, 2))]  # [cells, V_μ, V_g]
    shares /= shares.sum(axis=(1, 2), keepdims=True)
    mu, g = shares.sum(axis=2), shares.sum(axis=1)  # [cells, 2]
    information = entropy_terms(mu).sum(axis=1) + entropy_terms(g).sum(axis=1) - entropy_terms(shares).sum(axis=(1, 2))
    entropy = -(g * np.log(g + _EPSILON)).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(information.sum() / entropy.sum()) if len(shares) else np.nan


# The two below are `entr` and `rel_entr` of `scipy.special`, whose import takes longer than a comparison's statistics.
def entropy_terms(shares: np.ndarray) -> np.ndarray:
    """Return −p ln p of each share p, 0 where p is 0, nats.

    Examples:
        >>> round(float(entropy_terms(np.array([0.0, 0.5, 0.5])).sum()), 12)  # ln 2
        0.69314718056
    """
    return -relative_terms(shares, np.ones_like(shares))


def relative_terms(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return x ln(x/y) of each x and y, 0 where x is 0; y > 0 where x > 0.

    Examples:
        >>> relative_terms(np.array([0.0, 2.0]), np.array([0.0, 2.0])).tolist()
        [0.0, 0.0]
    """
    quotients = np.divide(first, second, out=np.ones_like(first), where=first > 0)
    return np.asarray(first * np.log(quotients))
