"""Sign error: how often the measure and the gap disagree in sign when one hyperparameter changes.

The weight of a pair grows with the confidence that its gaps differ; if they may differ by chance alone, it is 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from infomcr_cli.judging.minima import AxisPairs, Minima, signs
from infomcr_cli.judging.result import SignError, number

BOUNDED_GAP = "The weights of the sign error assume a gap in [0, 1], such as a difference of error rates"
LOSS_GAP = f"{BOUNDED_GAP}; a gap of losses has no such bound."


@dataclass(frozen=True)
class _Environments:
    """Sums over the pairs of each environment.

    Attributes:
        weight: of each environment and measure, float64 [E, M].
        error:  weighted, float64 [E, M].
        pairs:  number of pairs of non-zero weight, [M].
    """

    weight: np.ndarray
    error: np.ndarray
    pairs: np.ndarray


def pair_weights(gap_difference: np.ndarray, n_test: int) -> np.ndarray:
    """Return max(0, v − ½) with v = max(0, 1 − 2·exp(−2n(|Δg|/2)²))², in [0, ½].

    Args:
        gap_difference: Δg of an error gap, [P].
        n_test:         size of the test set.

    Source:
        Dziugaite et al., NeurIPS 2020, arXiv:2010.11924, section 5.

    Examples:
        >>> pair_weights(np.array([0.0, 1.0]), 10_000).tolist()
        [0.0, 0.5]
    """
    exponent = -2.0 * n_test * np.square(gap_difference / 2)
    return np.maximum(0.0, np.square(np.maximum(0.0, 1.0 - 2.0 * np.exp(exponent))) - 0.5)


def sign_errors(minima: Minima, pairs: tuple[AxisPairs, ...], ranks: np.ndarray, *, n_test: int) -> list[SignError]:
    """Return the sign error of every measure.

    It has no interval. Its weights let few pairs decide, and where errors are rare no method that was tried covers the
    true value as often as it claims; see docs/judging.md.

    Args:
        pairs:  of every axis.
        ranks:  dense ranks of each measure, −1 where missing, [n, M].
        n_test: size of the test set.
    """
    parts = [_environments(minima.gap, axis, ranks, n_test) for axis in pairs]
    total = _Environments(
        np.concatenate([part.weight for part in parts] or [np.zeros((0, ranks.shape[1]))]),
        np.concatenate([part.error for part in parts] or [np.zeros((0, ranks.shape[1]))]),
        np.sum([part.pairs for part in parts] or [np.zeros(ranks.shape[1], int)], axis=0),
    )
    return [_summary(total, m) for m in range(ranks.shape[1])]


def _environments(gap: np.ndarray, pairs: AxisPairs, ranks: np.ndarray, n_test: int) -> _Environments:
    """Return the sums over the environments of one axis."""
    with np.errstate(over="ignore"):
        difference = gap[pairs.first] - gap[pairs.second]
        weights = pair_weights(difference, n_test) * (pairs.low != pairs.high)
    heavy = np.flatnonzero(weights)
    part = AxisPairs(
        pairs.axis, pairs.first[heavy], pairs.second[heavy], pairs.group[heavy], pairs.groups,
        pairs.low[heavy], pairs.high[heavy],
    )  # fmt: skip
    levels = np.stack([part.low, part.high], axis=1)  # [P, 2], pairs of non-zero weight
    distinct, kind = np.unique(levels, axis=0, return_inverse=True)  # [E, 2], [P]
    columns = [_weight_and_error(part, column, np.sign(difference[heavy]), weights[heavy]) for column in ranks.T]
    # weight and weighted error of each environment, [M][2][E]
    sums = [[np.bincount(kind.ravel(), weights=x, minlength=len(distinct)) for x in pair] for pair in columns]
    shape = (len(distinct), len(columns))  # [E, M], also for M = 0
    return _Environments(
        weight=np.array([weight for weight, _ in sums]).T.reshape(shape),
        error=np.array([error for _, error in sums]).T.reshape(shape),
        pairs=np.array([np.count_nonzero(weight) for weight, _ in columns], dtype=int),
    )


def _weight_and_error(
    pairs: AxisPairs, ranks: np.ndarray, gap_sign: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weight and the weighted error of each pair for one measure, [P]; a missing μ has weight 0."""
    known = weights * ((ranks[pairs.first] >= 0) & (ranks[pairs.second] >= 0))
    return known, known * (1 - signs(ranks, pairs) * gap_sign) / 2


def _summary(environments: _Environments, index: int) -> SignError:
    weight, error = environments.weight[:, index], environments.error[:, index]
    used = weight > 0
    if not used.any():
        return SignError()
    means = error[used] / weight[used]  # [environments with a pair]
    return SignError(
        mean=number(error.sum() / weight.sum()),
        q90=number(np.percentile(means, 90)),
        max=number(means.max()),
        q10=number(np.percentile(means, 10)),
        min=number(means.min()),
        pairs=int(environments.pairs[index]),
        environments=int(used.sum()),
    )
