"""A quantity over draws: mean, standard error, bootstrap interval; a draw without a value is counted, not averaged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
FEWEST_DRAWS = 3  # before a stopping rule may look at the standard error


@dataclass(frozen=True)
class Estimate:
    """Mean over draws.

    Args:
        value:     mean over the draws that have a value; None where none has.
        std_error: standard error of the mean; None with fewer than two values.
        low, high: bootstrap interval of the mean, 95 %; None with fewer than two values.
        draws:     each draw's value; None for a deficient draw.
    """

    value: float | None
    std_error: float | None
    low: float | None
    high: float | None
    draws: tuple[float | None, ...]

    @property
    def deficient(self) -> int:
        """Number of draws without a value."""
        return sum(v is None for v in self.draws)


def estimate(draws: Sequence[float | None], seed: int = 0) -> Estimate:
    """Return the mean over draws with its uncertainty."""
    found = np.array([v for v in draws if v is not None], np.float64)
    if len(found) < 2:
        value = float(found[0]) if len(found) else None
        return Estimate(value, None, None, None, tuple(draws))
    low, high = bootstrap_interval(found, seed)
    return Estimate(float(found.mean()), standard_error(found), low, high, tuple(draws))


def standard_error(values: NDArray[np.float64]) -> float:
    """Return s/√T, s being the standard deviation of T draws with T - 1 in its denominator."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


def bootstrap_interval(values: NDArray[np.float64], seed: int, level: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of the mean over resampled draws.

    Source: Efron, Annals of Statistics 7 (1979).
    """
    picks = np.random.default_rng(seed).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.quantile(values[picks].mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def is_settled(draws: Sequence[float | None], target_se: float | None) -> bool:
    """Say whether a stopping rule ends here: enough draws, and a standard error of at most `target_se`."""
    found = np.array([v for v in draws if v is not None], np.float64)
    return target_se is not None and len(found) >= FEWEST_DRAWS and standard_error(found) <= target_se
