"""A quantity over draws: mean, standard error, interval; a draw without a value is counted, not averaged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

LEVEL = 0.95
FEWEST_DRAWS = 3  # before a stopping rule may look at the standard error


@dataclass(frozen=True)
class Estimate:
    """Mean over draws.

    Args:
        value:     mean over the draws that have a value; None where none has.
        std_error: standard error of the mean; None with fewer than two values.
        low, high: interval of the mean, 95 %, see `student_interval`; None with fewer than two values.
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


def estimate(draws: Sequence[float | None]) -> Estimate:
    """Return the mean over draws with its uncertainty."""
    found = np.array([v for v in draws if v is not None], np.float64)
    if len(found) < 2:
        value = float(found[0]) if len(found) else None
        return Estimate(value, None, None, None, tuple(draws))
    value, error = float(found.mean()), standard_error(found)
    return Estimate(value, error, *student_interval(value, error, len(found)), tuple(draws))


def standard_error(values: NDArray[np.float64]) -> float:
    """Return s/√T, s being the standard deviation of T draws with T - 1 in its denominator."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


def student_interval(value: float, std_error: float, draws: int) -> tuple[float, float]:
    """Return the interval value ± t · std_error that covers the truth 95 times in 100, t of Student with T - 1 degrees.

    A standard error that comes from few draws is uncertain itself: two of them to either side cover 83 to 91 % only.

    Args:
        draws: T, at least 2, that the standard error was taken from.

    Source:  Student, Biometrika 6 (1908).
    Example: student_interval(0.0, 1.0, 5) is (-2.78, 2.78).
    """
    half = float(stdtrit(draws - 1, (1 + LEVEL) / 2)) * std_error
    return value - half, value + half


def is_settled(draws: Sequence[float | None], target_se: float | None) -> bool:
    """Say whether a stopping rule ends here: enough draws, and a standard error of at most `target_se`."""
    found = np.array([v for v in draws if v is not None], np.float64)
    return target_se is not None and len(found) >= FEWEST_DRAWS and standard_error(found) <= target_se
