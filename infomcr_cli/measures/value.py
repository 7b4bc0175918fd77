"""A measured value and its uncertainty: mean over draws, standard error, interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Direction = Literal["lower", "higher"]
LEVEL = 0.95
# The stopping rule needs so many draws: a standard error that is small by chance must not end the drawing.
FEWEST_DRAWS = 10


@dataclass(frozen=True)
class MeasureValue:
    """The value of a measure.

    Args:
        value:     None if the measure is not available; `extras` then gives the `reason`.
        std_error: of an estimated value, in its unit.
        extras:    further entries of the JSON document.
        estimates: how many numbers `std_error` was computed from, at least 2; few of them widen the interval.
        unit:      such as `nats`; the registry fills it in.
        direction: which values are expected to generalize better; the registry fills it in.
    """

    value: float | None
    std_error: float | None = None
    extras: Mapping[str, Any] = field(default_factory=dict)
    estimates: int | None = None
    unit: str = ""
    direction: Direction = "lower"

    def to_dict(self) -> dict[str, Any]:
        """Return the entry of a JSON document."""
        head = {"value": self.value, "std_error": self.std_error, "unit": self.unit, "direction": self.direction}
        return {**head, **self.extras}

    def finite(self) -> MeasureValue:
        """Return the same value with None for NaN and infinity, in `extras` too: JSON does not have them."""
        extras = {name: _finite(entry) for name, entry in self.extras.items()}
        if self.value is not None and not math.isfinite(self.value):
            interval = {"interval": None} if "interval" in extras else {}
            return MeasureValue(None, extras={**extras, **interval, "reason": f"the value is {self.value}"})
        error = self.std_error if self.std_error is not None and math.isfinite(self.std_error) else None
        if error is None and "interval" in extras:
            extras["interval"] = None
        return MeasureValue(self.value, error, extras, self.estimates)

    def interval(self) -> dict[str, list[float]]:
        """Return the 95 % interval of an estimated value under its JSON key, and nothing for any other value."""
        if self.value is None or self.std_error is None or self.estimates is None:
            return {}
        return {"interval": list(student_interval(self.value, self.std_error, self.estimates))}


def _finite(entry: Any) -> Any:
    """Return an entry of a JSON document with None for every NaN and infinity in it."""
    if isinstance(entry, Mapping):
        return {key: _finite(one) for key, one in entry.items()}
    if isinstance(entry, list | tuple):
        return [_finite(one) for one in entry]
    return None if isinstance(entry, float) and not math.isfinite(entry) else entry


def mean_over_draws(draws: Sequence[float | None], missing: str = "") -> MeasureValue:
    """Return the mean over draws with its standard error; `extras` hold the interval and each draw.

    Args:
        draws:   each draw's value; None for a deficient draw, which is not averaged.
        missing: the reason that is given if no draw has a value.
    """
    found = np.array([v for v in draws if v is not None], np.float64)
    if len(found) < 2:
        value = float(found[0]) if len(found) else None
        reason = {"reason": missing} if value is None and missing else {}
        return MeasureValue(value, extras={"interval": None, "draws": list(draws), **reason})
    value, error = float(found.mean()), standard_error(found)
    return MeasureValue(
        value, error, {"interval": list(student_interval(value, error, len(found))), "draws": list(draws)}
    )


def standard_error(values: NDArray[np.float64]) -> float:
    """Return s/√T, s being the standard deviation of T draws with T - 1 in its denominator."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


def student_interval(value: float, std_error: float, draws: int) -> tuple[float, float]:
    """Return the interval value ± t · std_error that covers the truth 95 times in 100, t of Student with T - 1 degrees.

    A standard error that comes from few draws is uncertain itself: two of them to either side cover 83 to 91 % only.

    Args:
        draws: T, at least 2, the number of draws that gave the standard error.

    Source:
        Student, Biometrika 6 (1908).

    Examples:
        >>> low, high = student_interval(0.0, 1.0, 5)
        >>> print(f"{low:.2f}, {high:.2f}")
        -2.78, 2.78
    """
    from scipy.special import stdtrit

    half = float(stdtrit(draws - 1, (1 + LEVEL) / 2)) * std_error
    return value - half, value + half


def is_converged(draws: Sequence[float | None], target_se: float | None) -> bool:
    """Return whether drawing may stop: enough draws, and a standard error of at most `target_se`.

    The rule prefers draws that lie close together, so the standard error is up to a tenth too small, and the 95 %
    interval covers the truth 94 times in 100.
    """
    found = np.array([v for v in draws if v is not None], np.float64)
    return target_se is not None and len(found) >= FEWEST_DRAWS and standard_error(found) <= target_se
