"""The result of a ranking: frozen records and the JSON document made of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from infomcr_cli.judging.left_out import LeftOut

SYMBOLS = {
    "kendall_tau": "τ",
    "spearman_rho": "ρ",
    "granulated_psi": "Ψ",
    "conditional_information": "K",
    "sign_error": "sign error",
}
STATISTICS = tuple(SYMBOLS)
DIRECTIONS = ("lower", "higher")  # which values of a measure are better
CONFIDENCE = 0.95  # of every interval
DECIMALS = 14  # of a statistic; further digits are rounding error, as in a perfect τ of 0.9999999999999999


def number(value: float) -> float | None:
    """Return a statistic rounded to 14 decimals, or None if it is not finite: JSON has no NaN.

    Examples:
        >>> number(0.9999999999999999), number(float("nan"))
        (1.0, None)
    """
    return round(float(value), DECIMALS) + 0.0 if math.isfinite(value) else None  # adding 0 turns −0 into 0


@dataclass(frozen=True)
class Estimate:
    """A rank correlation with its bootstrap interval over n minima."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0


@dataclass(frozen=True)
class Granulated:
    """Ψ with its interval over groups; ψ and the number of usable groups for each axis."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    axes: Mapping[str, float | None] = field(default_factory=dict)
    groups: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ConditionalInformation:
    """K in [0, 1].

    Attributes:
        pairs_used: share of pairs with Δμ ≠ 0.
        pairs:      number of ordered pairs that entered K.
        sampled:    the pairs are a random sample.
        given:      the axes S of the minimum.
    """

    value: float | None = None
    pairs_used: float | None = None
    pairs: int = 0
    sampled: bool = False
    given: tuple[str, ...] | None = None


@dataclass(frozen=True)
class SignError:
    """Weighted sign error: mean with its interval over environments, 90th percentile and maximum over environments."""

    mean: float | None = None
    low: float | None = None
    high: float | None = None
    q90: float | None = None
    max: float | None = None
    pairs: int = 0
    environments: int = 0


@dataclass(frozen=True)
class Difference:
    """How far a measure is behind the best one, on the same resamples.

    Attributes:
        best:        name of the best measure.
        statistic:   the one of `STATISTICS` that is compared.
        significant: the interval excludes 0; None if there is no interval.
        mixed:       one of the two has numbers of several conventions.
    """

    best: str
    statistic: str
    difference: float | None
    low: float | None
    high: float | None
    significant: bool | None
    mixed: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        keys = {"significant": "apart", "mixed": "mixed_conventions"}
        return {keys.get(name, name): value for name, value in vars(self).items()}


@dataclass(frozen=True)
class MeasureResult:
    """All statistics of one measure.

    Attributes:
        direction: "lower" or "higher" (is better); None if unknown, which counts as lower.
        n:         minima that have a value.
        mixed:     the values are of several conventions.
    """

    name: str
    direction: str | None
    n: int
    kendall_tau: Estimate
    spearman_rho: Estimate
    granulated_psi: Granulated
    conditional_information: ConditionalInformation
    sign_error: SignError
    against_best: Difference | None = None
    mixed: bool = False

    def statistic(self, name: str) -> float | None:
        """Return the point value of one of `STATISTICS`."""
        record = getattr(self, name)
        value: float | None = record.mean if name == "sign_error" else record.value
        return value

    def oriented(self, name: str) -> float | None:
        """Return that value so that larger is better, whatever the measure's direction."""
        value = self.statistic(name)
        return None if value is None else self.orient(name, value)

    def orient(self, name: str, values: Any) -> Any:
        """Return values of a statistic (a number or an array) so that larger is better."""
        if name == "conditional_information":
            return values
        sign = -1.0 if self.direction == "higher" else 1.0
        return sign * (0.5 - values if name == "sign_error" else values)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        psi, given = self.granulated_psi, self.conditional_information.given
        return {
            "n": self.n,
            "direction": self.direction,
            "mixed_conventions": self.mixed,
            "kendall_tau": vars(self.kendall_tau).copy(),
            "spearman_rho": vars(self.spearman_rho).copy(),
            "granulated_psi": vars(psi) | {"axes": dict(psi.axes), "groups": dict(psi.groups)},
            "conditional_information": vars(self.conditional_information)
            | {"given": None if given is None else list(given)},
            "sign_error": vars(self.sign_error).copy(),
            "against_best": None if self.against_best is None else self.against_best.to_dict(),
        }


@dataclass(frozen=True)
class RankingResult:
    """The statistics of all measures, best first.

    Attributes:
        n:        minima that are ranked.
        rows:     runs behind them, replicates counted.
        rank_by:  the statistic that orders the measures.
        controls: the oracle and the random measure.
        digits:   significant digits to which gaps and measures are compared.
    """

    n: int
    rows: int
    gap: str
    axes: tuple[str, ...]
    n_test: int | None
    seed: int
    resamples: int
    rank_by: str
    measures: tuple[MeasureResult, ...]
    controls: tuple[MeasureResult, ...]
    digits: int
    left_out: LeftOut = field(default_factory=LeftOut)
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document; a statistic that is undefined is None."""
        return {
            "n": self.n,
            "rows": self.rows,
            "gap": self.gap,
            "axes": list(self.axes),
            "n_test": self.n_test,
            "seed": self.seed,
            "resamples": self.resamples,
            "confidence": CONFIDENCE,
            "rank_by": self.rank_by,
            "significant_digits": self.digits,
            "measures": {one.name: one.to_dict() for one in self.measures},
            "references": {one.name: one.to_dict() for one in self.controls},
            "left_out": self.left_out.to_dict(),
            "notes": list(self.notes),
        }
