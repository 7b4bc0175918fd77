"""Whether two runs differ: gamma by its draws, the test error by its images, either by several seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

LEVEL = 0.05  # a p-value below it is a difference
ROUNDING = 1e-12  # of the numbers: differences that are not larger count as none
MCNEMAR, FISHER = "paired on the same test images, McNemar", "unpaired, Fisher's exact test"
PAIRED, WELCH = "paired on the same draws, Student's t", "unpaired, Welch's t"


@dataclass(frozen=True)
class DifferenceTest:
    """The difference of one quantity between two runs.

    Attributes:
        difference: first less second.
        std_error:  of the difference.
        p_value:    of no difference, corrected if several pairs of runs are compared.
        method:     what was paired, and the test.
    """

    difference: float
    std_error: float
    p_value: float
    method: str

    @property
    def is_distinguishable(self) -> bool:
        """Whether chance alone gives such a difference in less than 5 of 100 cases."""
        return self.p_value < LEVEL

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        return {**vars(self), "distinguishable": self.is_distinguishable}


def paired_means(first: Sequence[float], second: Sequence[float], method: str = PAIRED) -> DifferenceTest | None:
    """Compare the means of numbers that belong together one by one; None with fewer than two pairs or without spread.

    Examples:
        >>> found = paired_means([1.0, 2.0, 3.0], [0.0, 2.0, 1.0])
        >>> round(found.difference, 3), round(found.std_error, 3), round(found.p_value, 3)
        (1.0, 0.577, 0.225)
    """
    if min(len(first), len(second)) < 2:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        differences = np.asarray(first, np.float64) - np.asarray(second, np.float64)
        mean, error = float(differences.mean()), float(differences.std(ddof=1) / math.sqrt(len(differences)))
    return _student(*_without_rounding(mean, error, first, second), len(differences) - 1, method)


def unpaired_means(
    first: Sequence[float], second: Sequence[float], method: str = WELCH, *, step: float = 0.0
) -> DifferenceTest | None:
    """Compare the means of two samples of different variance.

    None if one has fewer than two numbers, or if there is no spread and the means differ: no test can say then whether
    they differ by chance.

    Args:
        step: distance between neighbouring values if they are rounded, as error rates on n images, 1/n. The variance
              of a sample is then at least that of rounding, step²/12: seeds may agree by rounding alone.

    Source:
        Welch, Biometrika 34 (1947).
    """
    if min(len(first), len(second)) < 2:
        return None
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        parts = [max(float(np.var(one, ddof=1)), step**2 / 12) / len(one) for one in (first, second)]
        variance, mean = sum(parts), float(np.mean(first) - np.mean(second))
        shares = [part / variance if variance else 0.5 for part in parts]
        freedom = 1 / sum(share**2 / (len(one) - 1) for share, one in zip(shares, (first, second), strict=True))
    return _student(*_without_rounding(mean, math.sqrt(variance), first, second), freedom, method)


def _without_rounding(mean: float, error: float, *samples: Sequence[float]) -> tuple[float, float]:
    """Return a difference and its standard error, 0 if rounding can make them of equal numbers."""
    tiny = ROUNDING * max(abs(value) for sample in samples for value in sample)
    return 0.0 if abs(mean) <= tiny else mean, 0.0 if error <= tiny else error


def known_errors(first: tuple[float, float], second: tuple[float, float]) -> DifferenceTest | None:
    """Compare two numbers by their standard errors alone, each (value, standard error).

    None if a number is too large, or if both errors are 0 and the numbers differ.
    """
    difference, error = first[0] - second[0], math.hypot(first[1], second[1])
    if not _can_be_tested(difference, error):
        return None
    p_value = math.erfc(abs(difference) / error / math.sqrt(2)) if error else 1.0
    return DifferenceTest(difference, error, p_value, "unpaired, by the standard errors")


def paired_errors(first_correct: np.ndarray, second_correct: np.ndarray) -> DifferenceTest:
    """Compare the error rates of two networks on the same images: McNemar's exact test.

    Args:
        first_correct:  which images the first network classifies correctly, bool [n].
        second_correct: the same for the second, [n].

    Source:
        McNemar, Psychometrika 12 (1947); exact by the binomial distribution.

    Examples:
        >>> found = paired_errors(np.array([True] * 8), np.array([True] * 2 + [False] * 6))
        >>> found.difference, found.p_value
        (-0.75, 0.03125)
    """
    from scipy.special import bdtr

    n = len(first_correct)
    only_second, only_first = int((~first_correct & second_correct).sum()), int((first_correct & ~second_correct).sum())
    unlike = only_first + only_second
    p_value = min(1.0, 2 * float(bdtr(min(only_first, only_second), unlike, 0.5)))  # both tails are alike
    error = math.sqrt(max(unlike - (only_second - only_first) ** 2 / n, 0.0)) / n
    return DifferenceTest((only_second - only_first) / n, error, p_value, MCNEMAR)


def unpaired_errors(first: tuple[float, int], second: tuple[float, int]) -> DifferenceTest:
    """Compare two error rates without knowing which images they are of; each is (rate, images).

    Source:
        Fisher, The Design of Experiments, 1935.
    """
    from scipy import stats  # half a second to import, and few comparisons need it

    wrong = [round(rate * n) for rate, n in (first, second)]
    # [networks, wrong and right]
    table = np.array([[count, n - count] for count, (_, n) in zip(wrong, (first, second), strict=True)])
    error = math.sqrt(sum(rate * (1 - rate) / n for rate, n in (first, second)))
    return DifferenceTest(first[0] - second[0], error, float(stats.fisher_exact(table).pvalue), FISHER)


def corrected(tests: Sequence[DifferenceTest | None]) -> list[DifferenceTest | None]:
    """Return tests of several pairs with p-values corrected for their number.

    Source:
        Holm, Scandinavian Journal of Statistics 6 (1979).

    Examples:
        >>> tests = [DifferenceTest(1.0, 1.0, p, "t") for p in (0.01, 0.04, 0.03)]
        >>> [one.p_value for one in corrected(tests)]
        [0.03, 0.06, 0.06]
    """
    known = sorted((one.p_value, index) for index, one in enumerate(tests) if one is not None)
    found, largest = list(tests), 0.0  # a corrected p-value is never below that of a smaller one
    for rank, (p_value, index) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p_value))
        one = tests[index]
        found[index] = None if one is None else replace(one, p_value=largest)
    return found


def _student(mean: float, error: float, freedom: float, method: str) -> DifferenceTest | None:
    """Return Student's t-test of a mean; None if a number is too large, or without an error unless the mean is 0."""
    if not _can_be_tested(mean, error):
        return None
    from scipy.special import stdtr

    p_value = float(2 * stdtr(freedom, -abs(mean) / error)) if error else 1.0
    return DifferenceTest(mean, error, p_value, method)


def _can_be_tested(difference: float, error: float) -> bool:
    """Return whether two numbers are finite, and the error is not 0 unless the difference is."""
    return math.isfinite(difference) and math.isfinite(error) and (error > 0 or difference == 0)
