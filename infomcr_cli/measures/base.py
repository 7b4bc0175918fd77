"""The registry of measures: one file a measure, each with what it is, what it costs and what it needs.

A measure is a function from a `Subject` to a `MeasureValue`. Add one with `register_measure` in a file of its own, and
name that file in `catalogue.FILES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from infomcr_cli.config.schema.measure import MeasureConfig
from infomcr_cli.errors import InputError
from infomcr_cli.measures import convention

if TYPE_CHECKING:
    from infomcr_cli.measures.context import Subject


Direction = Literal["lower", "higher"]
Suite = Literal["fast", "standard", "all"]
SUITES: tuple[Suite, ...] = ("fast", "standard", "all")
GRAM = "gram"  # what measures need that are read off the draws of gamma


@dataclass(frozen=True)
class MeasureValue:
    """A measured value.

    Args:
        value:     None where it cannot be had; `extras` then says why.
        std_error: where the value is estimated.
        unit:      such as `nats`.
        direction: which values are expected to generalise better.
        extras:    further entries of the JSON document.
    """

    value: float | None
    std_error: float | None
    unit: str
    direction: Direction
    extras: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the entry of a JSON document."""
        head = {"value": self.value, "std_error": self.std_error, "unit": self.unit, "direction": self.direction}
        return {**head, **self.extras}


@dataclass(frozen=True)
class Measure:
    """What a measure is.

    Args:
        name:      key in every document.
        formula:   in the notation of the design document.
        source:    paper, arXiv number.
        unit:      of the value.
        direction: `lower` or `higher` is better.
        cost:      in passes over the data.
        needs:     what is shared with other measures, such as `gram` for the draws of gamma,
                   and what the network must be.
        settings:  names under `measure.` that it depends on.
        suite:     the smallest suite that holds it.
        compute:   the function.
    """

    name: str
    formula: str
    source: str
    unit: str
    direction: Direction
    cost: str
    needs: tuple[str, ...]
    settings: tuple[str, ...]
    suite: Suite
    compute: Callable[[Subject], MeasureValue]

    def convention(self, config: MeasureConfig, images: int, order: str | None = None) -> dict[str, Any]:
        """Return what the value depends on besides the network and the data, as it is recorded beside it.

        Args:
            images: of the training set; no more than there are can be taken.
            order:  `stored` or `stratified`, how the source orders them; None: not known, and left out.
        """
        if GRAM in self.needs:
            return convention.of_gram(config.gamma, images, order)
        return convention.of_settings(config, self.settings, images)

    def unavailable(self, reason: str, **extras: Any) -> MeasureValue:
        """Return the value of a measure that cannot be had."""
        return MeasureValue(None, None, self.unit, self.direction, {"reason": reason, **extras})


_MEASURES: dict[str, Measure] = {}


def register_measure(
    *,
    name: str,
    formula: str,
    source: str,
    unit: str,
    direction: Direction,
    cost: str,
    needs: tuple[str, ...] = (),
    settings: tuple[str, ...] = (),
    suite: Suite = "standard",
) -> Callable[[Callable[[Subject], MeasureValue]], Callable[[Subject], MeasureValue]]:
    """Return a decorator that adds a function to the registry under `name`; see `Measure` for the rest."""

    def register(compute: Callable[[Subject], MeasureValue]) -> Callable[[Subject], MeasureValue]:
        _MEASURES[name] = Measure(name, formula, source, unit, direction, cost, needs, settings, suite, compute)
        return compute

    return register


def all_measures() -> list[Measure]:
    """Return every registered measure, in the order of registration."""
    load()
    return list(_MEASURES.values())


def chosen_measures(names: str | Iterable[str]) -> list[Measure]:
    """Return the measures of a suite (`fast`, `standard`, `all`) or of a list of names, in the registry's order.

    Raises:
        InputError: a name is unknown.
    """
    known = {measure.name: measure for measure in all_measures()}
    if isinstance(names, str) and names in SUITES:
        return [m for m in known.values() if SUITES.index(m.suite) <= SUITES.index(names)]
    wanted = [names] if isinstance(names, str) else list(names)
    for name in wanted:
        if name not in known:
            raise InputError("measure must be a suite or known measures", received=name, accepted=[*SUITES, *known])
    return [measure for measure in known.values() if measure.name in wanted]


FILES = (
    "library.gram_spectrum",
    "library.simple",
    "library.layer_norms",
    "library.path_norm",
    "library.sharpness",
    "library.relative_flatness",
    "library.noise_scale",
    "library.hessian",
)


def load() -> None:
    """Import every file of measures, which registers what is in it; none of them imports TensorFlow."""
    for name in FILES:
        import_module(f"infomcr_cli.measures.{name}")
