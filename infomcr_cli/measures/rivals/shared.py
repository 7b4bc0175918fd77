"""What the rivals of gamma have in common: taken at a `Minimum`, valued with the settings they depend on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, Any

from infomcr_cli.config.measure_schema import MeasureConfig
from infomcr_cli.errors import InputError
from infomcr_cli.measures.registry import Direction, MeasureValue, Suite, register_measure

if TYPE_CHECKING:
    from infomcr_cli.measures.minimum import Minimum
    from infomcr_cli.measures.subject import Subject

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
    """

    value: float | None
    std_error: float | None = None
    extras: Mapping[str, Any] = field(default_factory=dict)


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
    """Return a decorator that registers a function of a minimum; what it does not suit has no value but a reason."""

    def register(take: Rival) -> Rival:
        @wraps(take)
        def compute(subject: Subject) -> MeasureValue:
            minimum = subject.minimum
            try:
                found = _finite(take(minimum))
            except InputError as error:
                found = Found(None, extras={"reason": str(error)})
            convention = {"batch_norm": "inference"} | {key: _setting(minimum, key) for key in settings}
            return MeasureValue(
                found.value, found.std_error, unit, direction, {"convention": convention, **found.extras}
            )

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
    return Found(found.value, error, found.extras)


def _setting(minimum: Minimum, key: str) -> Any:
    if key == "samples":  # as many as there were
        return len(minimum.surface.labels)
    value: Any = minimum.config
    for part in key.split("."):
        value = getattr(value, part)
    return value


def with_margin(log_product: float, minimum: Minimum) -> Found:
    """Return the logarithm of a product of squared norms over the squared margin."""
    from infomcr_cli.measures.norms import over_margin

    value = over_margin(log_product, minimum.margin)
    return Found(value) if value is not None else Found(None, extras={"reason": "the margin is not positive"})


def drops_of(config: MeasureConfig) -> dict[str, Any]:
    """Return the settings of the noise scales as their function takes them."""
    return {"drop": config.noise.accuracy_drop, "draws": config.noise.draws}
