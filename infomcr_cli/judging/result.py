"""What the court says: frozen records and the JSON document made of them."""

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
DECIMALS = 14  # of a statistic: what comes after is rounding error, as in a perfect τ of 0.9999999999999999


def number(value: float) -> float | None:
    """Return a statistic without the rounding error of its last bits, None where it is not finite: JSON has no NaN."""
    return round(float(value), DECIMALS) + 0.0 if math.isfinite(value) else None  # adding 0 turns −0 into 0


@dataclass(frozen=True)
class Estimate:
    """A rank correlation with its bootstrap interval over n minima."""

    value: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Granulated:
    """Ψ, its interval over groups, ψ and the number of usable groups of each axis."""

    value: float | None
    low: float | None
    high: float | None
    axes: Mapping[str, float | None]
    groups: Mapping[str, int]


@dataclass(frozen=True)
class ConditionalInformation:
    """K in [0, 1]; `pairs_used` is the share of pairs with Δμ ≠ 0, `pairs` the ordered pairs that entered K."""

    value: float | None
    pairs_used: float | None
    pairs: int
    sampled: bool
    given: tuple[str, ...] | None = None


@dataclass(frozen=True)
class SignError:
    """Weighted sign error: mean with its interval over environments, 90th percentile and maximum over environments."""

    mean: float | None
    low: float | None
    high: float | None
    q90: float | None
    max: float | None
    pairs: int
    environments: int


@dataclass(frozen=True)
class Paired:
    """How far a measure stands behind the best one, on the same resamples.

    Attributes:
        apart: the interval excludes 0; None where there is no interval.
        mixed: one of the two has numbers of several conventions.
    """

    best: str
    statistic: str
    difference: float | None
    low: float | None
    high: float | None
    apart: bool | None
    mixed: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the entry of the JSON document."""
        entry = vars(self).copy()
        entry["mixed_conventions"] = entry.pop("mixed")
        return entry


@dataclass(frozen=True)
class MeasureResult:
    """All statistics of one measure."""

    name: str
    direction: str | None
    n: int
    kendall_tau: Estimate
    spearman_rho: Estimate
    granulated_psi: Granulated
    conditional_information: ConditionalInformation
    sign_error: SignError
    against_best: Paired | None = None
    mixed: bool = False

    def statistic(self, name: str) -> float | None:
        """Return the headline number of one of `STATISTICS`."""
        record = getattr(self, name)
        value: float | None = record.mean if name == "sign_error" else record.value
        return value

    def oriented(self, name: str) -> float | None:
        """Return that number so that more is better: signs turned for a measure of which higher is better."""
        value = self.statistic(name)
        if value is None or name == "conditional_information":
            return value
        sign = -1.0 if self.direction == "higher" else 1.0
        return sign * (0.5 - value if name == "sign_error" else value)

    def to_dict(self) -> dict[str, Any]:
        """Return the entry of the JSON document."""
        paired = None if self.against_best is None else self.against_best.to_dict()
        psi = vars(self.granulated_psi) | {
            "axes": dict(self.granulated_psi.axes),
            "groups": dict(self.granulated_psi.groups),
        }
        information = vars(self.conditional_information).copy()
        information["given"] = None if information["given"] is None else list(information["given"])
        return {
            "n": self.n,
            "direction": self.direction,
            "mixed_conventions": self.mixed,
            "kendall_tau": vars(self.kendall_tau).copy(),
            "spearman_rho": vars(self.spearman_rho).copy(),
            "granulated_psi": psi,
            "conditional_information": information,
            "sign_error": vars(self.sign_error).copy(),
            "against_best": paired,
        }


@dataclass(frozen=True)
class RankingResult:
    """The judgement of all measures of one table, best first.

    Attributes:
        digits: significant digits to which gaps and measures were told apart.
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
    references: tuple[MeasureResult, ...]
    digits: int
    left_out: LeftOut = field(default_factory=LeftOut)
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document; what cannot be had is None."""
        return {
            "n": self.n,
            "rows": self.rows,
            "gap": self.gap,
            "axes": list(self.axes),
            "n_test": self.n_test,
            "seed": self.seed,
            "resamples": self.resamples,
            "confidence": 0.95,
            "rank_by": self.rank_by,
            "significant_digits": self.digits,
            "measures": {verdict.name: verdict.to_dict() for verdict in self.measures},
            "references": {verdict.name: verdict.to_dict() for verdict in self.references},
            "left_out": self.left_out.to_dict(),
            "notes": list(self.notes),
        }
