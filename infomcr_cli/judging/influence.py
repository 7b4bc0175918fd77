"""Influence of each minimum on a statistic, and the interval that follows from it.

The influence φ_i of minimum i is how much it moves a statistic θ: to first order θ̂ − θ is the sum of φ_i over the
minima, so the variance of θ̂ is about Σ φ_i². Differences of φ of two statistics on the same minima give the variance
of the difference. θ lies in [−1, 1]; its interval is symmetric on the scale of artanh θ (Fisher's z), with the quantile
of Student's t for n − 1 degrees of freedom.

With few minima no such interval covers the true value as often as it claims. `FEWEST_RANKED` is the smallest number of
minima from which it does; docs/judging.md gives the simulated coverage.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from infomcr_cli.judging.result import CONFIDENCE, FEWEST_RANKED, number


@dataclass(frozen=True)
class Influence:
    """A statistic and how each minimum moves it.

    Attributes:
        value: the statistic in [−1, 1], NaN if undefined.
        phi:   influence of each minimum, 0 for one that has no part in the statistic, [n].
        n:     number of minima that have a part.
        step:  how much the statistic changes at most if one pair of minima changes its order.
        share: of Σ φ² that the variance of the statistic itself is.
        mean_step: root mean square of that change over all pairs; None: it is the same for all.
    """

    value: float
    phi: np.ndarray
    n: int
    step: float
    share: float = 1.0
    mean_step: float | None = None

    @property
    def has_interval(self) -> bool:
        """Whether there are enough minima for an interval."""
        return self.n >= FEWEST_RANKED and bool(np.isfinite(self.value))

    @property
    def is_perfect(self) -> bool:
        """Whether the value is ±1."""
        return abs(self.value) > 1 - self.step / 2

    @property
    def square(self) -> float:
        """Σ φ², at least that of one pair out of order, which moves two minima.

        If the measure agrees with the gap in all groups of some axes and is reversed in all groups of others, no
        minimum has an influence. The sum is 0 then, but the value is not certain.
        """
        step = self.step if self.is_perfect or self.mean_step is None else self.mean_step
        return max(float(np.square(self.phi).sum()), 2 * step**2)

    def interval(self) -> tuple[float | None, float | None]:
        """Return the 95 % interval, or (None, None) with fewer than 16 minima.

        A value of ±1 takes the interval of the nearest value below, up to ±1.
        """
        if not self.has_interval:
            return None, None
        from scipy.special import stdtrit  # a quarter of a second to import, and few minima need none

        value = 1 - self.step if self.is_perfect else abs(self.value)
        half = stdtrit(self.n - 1, (1 + CONFIDENCE) / 2) * np.sqrt(self.share * self.square) / (1 - value**2)
        low, high = np.tanh(np.arctanh(value) - half), 1.0 if self.is_perfect else np.tanh(np.arctanh(value) + half)
        return (number(low), number(high)) if self.value > 0 else (number(-high), number(-low))


def nothing(n: int) -> Influence:
    """Return the influence on a statistic that is undefined."""
    return Influence(float("nan"), np.zeros(n), 0, 0.0)
