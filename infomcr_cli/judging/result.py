"""The result of a ranking: frozen records and the JSON document made of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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
MOST_IMAGES = 10**12  # of a test set
CONFIDENCE = 0.95  # of every interval
FEWEST_RANKED = 16  # minima; with fewer there is no interval, no order and no significance
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
    """A rank correlation with its interval over n minima; below 16 minima there is no interval."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0


@dataclass(frozen=True)
class Granulated:
    """Ψ with its interval; ψ and the number of usable groups for each axis."""

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
class CompetitionScore:
    """The score of the PGDL competition, and the two axes of the minimum."""

    value: float | None = None
    given: tuple[str, str] | None = None


@dataclass(frozen=True)
class SignError:
    """Weighted sign error: mean over all pairs, percentiles over environments; `low` and `high` are always None."""

    mean: float | None = None
    low: float | None = None
    high: float | None = None
    q90: float | None = None
    max: float | None = None
    q10: float | None = None
    min: float | None = None
    pairs: int = 0
    environments: int = 0

    def reversed(self) -> SignError:
        """Return the sign error of the same measure with the opposite direction."""

        def turned(value: float | None) -> float | None:
            return None if value is None else 1 - value

        return replace(
            self,
            mean=turned(self.mean),
            q90=turned(self.q10),
            max=turned(self.min),
            q10=turned(self.q90),
            min=turned(self.max),
        )


@dataclass(frozen=True)
class Difference:
    """How far a measure is behind the best one.

    Attributes:
        best:        name of the best measure.
        statistic:   the one of `STATISTICS` that is compared.
        low, high:   95 % interval that holds for all differences of the table together.
        p_value:     corrected for the choice of the best among all measures.
        compared:    number of measures among which the best was chosen.
        significant: it is worse than the best, p < 0.05; then the interval excludes 0.
        mixed:       one of the two has numbers of several conventions.
    """

    best: str
    statistic: str
    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None
    compared: int
    significant: bool
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
    pgdl_cmi: CompetitionScore = CompetitionScore()
    against_best: Difference | None = None
    mixed: bool = False

    def statistic(self, name: str) -> float | None:
        """Return the point value of one of `STATISTICS`."""
        record = getattr(self, name)
        value: float | None = record.mean if name == "sign_error" else record.value
        return value

    def oriented(self, name: str) -> float | None:
        """Return that value so that positive means that the measure ranks as its direction claims."""
        value = self.statistic(name)
        return None if value is None else self.orient(name, value)

    def orient(self, name: str, values: Any) -> Any:
        """Return values of a statistic (a number or an array) so that larger is better."""
        if name == "conditional_information":
            return values
        sign = -1.0 if self.direction == "higher" else 1.0
        return sign * (0.5 - values if name == "sign_error" else values)

    def oriented_estimate(self, name: str) -> tuple[float | None, float | None, float | None]:
        """Return (value, low, high) of τ, ρ or Ψ, positive if the measure ranks as its direction claims."""
        record = getattr(self, name)
        if self.direction != "higher":
            return record.value, record.low, record.high
        value, low, high = (None if one is None else -one + 0.0 for one in (record.value, record.high, record.low))
        return value, low, high

    @property
    def oriented_sign_error(self) -> SignError:
        """The sign error of the measure as its direction claims: lower is better."""
        return self.sign_error.reversed() if self.direction == "higher" else self.sign_error

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
            "pgdl_cmi": vars(self.pgdl_cmi) | {"given": list(self.pgdl_cmi.given) if self.pgdl_cmi.given else None},
            "oriented": self._oriented_to_dict(),
            "against_best": None if self.against_best is None else self.against_best.to_dict(),
        }

    def _oriented_to_dict(self) -> dict[str, Any]:
        names = ("kendall_tau", "spearman_rho", "granulated_psi")
        bounds = {
            name: dict(zip(("value", "low", "high"), self.oriented_estimate(name), strict=True)) for name in names
        }
        return {**bounds, "sign_error": {"mean": self.oriented_sign_error.mean}}


@dataclass(frozen=True)
class RankingResult:
    """The statistics of all measures, best first if there are enough minima, else as they came.

    Attributes:
        n:        minima that are ranked.
        rows:     runs behind them, replicates counted.
        ranked:   whether there are enough minima for an order, intervals and significance.
        resamples: simulations of the largest difference between measures.
        rank_by:  the statistic that orders the measures.
        controls: the oracle and the random measure.
        digits:   significant digits to which gaps and measures are compared.
        importance: share of the gap's variance that each axis explains.
        families:   family → its measures, best first; None if not wanted.
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
    ranked: bool = False
    importance: Mapping[str, float | None] = field(default_factory=dict)
    families: Mapping[str, tuple[str, ...]] | None = None
    left_out: LeftOut = field(default_factory=LeftOut)
    notes: tuple[str, ...] = ()

    @property
    def has_sign_error(self) -> bool:
        """Whether any measure has a sign error."""
        return any(one.sign_error.mean is not None for one in self.measures)

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
            "ranked": self.ranked,
            "axis_importance": dict(self.importance),
            "significant_digits": self.digits,
            "families": self._families_to_dict(),
            "measures": {one.name: one.to_dict() for one in self.measures},
            "references": {one.name: one.to_dict() for one in self.controls},
            "left_out": self.left_out.to_dict(),
            "notes": list(self.notes),
        }

    def _families_to_dict(self) -> dict[str, Any] | None:
        if self.families is None:
            return None
        best = {family: self.best_of(names) for family, names in self.families.items()}
        return {family: {"best": best[family], "measures": list(names)} for family, names in self.families.items()}

    def best_of(self, names: Sequence[str]) -> str | None:
        """Return the best of some measures, in the order of the ranking; None if too few minima rank the first."""
        first = next(one for one in self.measures if one.name == names[0])
        of_psi = self.rank_by == "granulated_psi" and first.granulated_psi.low is None
        is_known = first.statistic(self.rank_by) is not None and first.n >= FEWEST_RANKED and not of_psi
        return first.name if self.ranked and is_known else None
