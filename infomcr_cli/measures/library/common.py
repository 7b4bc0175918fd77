"""What the rivals of gamma have in common: taken at a `Minimum`, with an interval where they are estimated."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, Any

from infomcr_cli.config.schema.measure import MeasureConfig
from infomcr_cli.measures.base import Direction, MeasureValue, Suite, register_measure
from infomcr_cli.measures.estimate import student_interval

if TYPE_CHECKING:
    from infomcr_cli.measures.context import Minimum, Subject


JIANG = "Jiang et al., ICLR 2020, arXiv:1912.02178"
IMAGES = "training images"
FOLDABLE = "convolutions, dense layers and batch norms only"


@dataclass(frozen=True)
class Found:
    """What a measure found.

    Args:
        value:     None where it cannot be had; `extras` then gives the `reason`.
        std_error: of an estimated value, in its unit.
        extras:    whatever else was found, fit for JSON.
        estimates: how many numbers `std_error` was taken from, at least 2; few of them widen the interval.
    """

    value: float | None
    std_error: float | None = None
    extras: Mapping[str, Any] = field(default_factory=dict)
    estimates: int | None = None


Rival = Callable[["Minimum"], Found]


def register_rival(
    *,
    name: str,
    formula: str,
    source: str,
    unit: str,
    direction: Direction,
    cost: str,
    needs: tuple[str, ...] = (),
    settings: tuple[str, ...] = (),
    suite: Suite = "all",
) -> Callable[[Rival], Rival]:
    """Return a decorator that registers a function of a minimum."""

    def register(take: Rival) -> Rival:
        @wraps(take)
        def compute(subject: Subject) -> MeasureValue:
            found = _finite(take(subject.minimum))
            return MeasureValue(found.value, found.std_error, unit, direction, {**_interval(found), **found.extras})

        register_measure(
            name=name,
            formula=formula,
            source=source,
            unit=unit,
            direction=direction,
            cost=cost,
            needs=needs,
            settings=settings,
            suite=suite,
        )(compute)
        return take

    return register


def _finite(found: Found) -> Found:
    """Return what was found with None for a number that is none: JSON knows no infinity."""
    if found.value is not None and not math.isfinite(found.value):
        return Found(None, extras={**found.extras, "reason": f"the value is {found.value}"})
    error = found.std_error if found.std_error is not None and math.isfinite(found.std_error) else None
    return Found(found.value, error, found.extras, found.estimates)


def _interval(found: Found) -> dict[str, Any]:
    """Return the interval of an estimated value, 95 %; nothing for any other."""
    if found.value is None or found.std_error is None or found.estimates is None:
        return {}
    return {"interval": list(student_interval(found.value, found.std_error, found.estimates))}


def with_margin(log_product: float, minimum: Minimum) -> Found:
    """Return the logarithm of a product of squared norms over the squared margin."""
    from infomcr_cli.measures.library.layer_norms import over_margin

    value = over_margin(log_product, minimum.margin)
    return Found(value) if value is not None else Found(None, extras={"reason": "the margin is not positive"})


def drops_of(config: MeasureConfig) -> dict[str, Any]:
    """Return the settings of the noise scales as their function takes them."""
    return {"drop": config.noise.accuracy_drop, "draws": config.noise.draws}


SETTINGS = tuple(
    f"gamma.{name}"
    for name in ("samples", "draws", "draw_size", "batch_norm", "logit_scale", "chunk_size", "precision")
)
NO_COST = "none beside gamma's draws"
# G is made of the gradients at the true labels: not the Fisher information, whose labels the network itself draws.
EMPIRICAL = "empirical Fisher: Kunstner et al., NeurIPS 2019, arXiv:1905.12558"


def over_draws(subject: Subject, name: str, unit: str, direction: Direction, **extras: Any) -> MeasureValue:
    """Return one number of `DrawSummary`, averaged over draws, with each draw and its interval."""
    found = subject.gram_draws.over_draws(name)
    interval = None if found.low is None else [found.low, found.high]
    common = {"interval": interval, "draws": list(found.draws)}
    return MeasureValue(found.value, found.std_error, unit, direction, {**common, **extras})
