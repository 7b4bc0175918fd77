"""The registry of measures: what each one is, what it costs and what it needs.

A measure is a function from a `MeasureContext` to a `MeasureValue`. To add one, write it in a file of its own in
`measures/library` and decorate it with `register_measure`; no list has to be changed.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from infomcr_cli.config.schema.measure import MeasureConfig
from infomcr_cli.errors import InputError
from infomcr_cli.measures import convention, library
from infomcr_cli.measures.value import Direction, MeasureValue

if TYPE_CHECKING:
    from infomcr_cli.measures.context import MeasureContext


Suite = Literal["fast", "standard", "all"]
SUITES: tuple[Suite, ...] = ("fast", "standard", "all")

# What a measure can need.
GRAM = "gram"  # the draws of gamma, from which the value is read
IMAGES = "training images"
FOLDABLE = "convolutions, dense layers and batch norms only"

# Forward passes that take as long, measured on Wide ResNet 28-2 by benchmarks/measures.py.
GRADIENT, HESSIAN_PRODUCT, GRAM_ROW = 4.0, 12.0, 12.0

Compute = Callable[["MeasureContext"], MeasureValue]
Passes = Callable[[MeasureConfig], float]


def no_passes(config: MeasureConfig) -> float:
    """Return 0: the measure takes no forward pass besides the common one over the samples."""
    return 0.0


@dataclass(frozen=True)
class Measure:
    """What a measure is.

    Args:
        name:      key in every document.
        formula:   in the notation of the design document.
        source:    paper, arXiv number.
        unit:      of the value.
        direction: `lower` or `higher` is better.
        cost:      in words, in passes over the data.
        passes:    images that could pass forward through the network in the time that the measure takes. Measures with
                   the same function share these passes.
        needs:     what is shared with other measures, such as `gram` for the draws of gamma,
                   and what the network must be.
        settings:  names under `measure.` that it depends on.
        suite:     the smallest suite that includes it.
        compute:   the function.
    """

    name: str
    formula: str
    source: str
    unit: str
    direction: Direction
    cost: str
    passes: Passes
    needs: tuple[str, ...]
    settings: tuple[str, ...]
    suite: Suite
    compute: Compute

    def convention(self, config: MeasureConfig, n_train: int, order: str | None = None) -> dict[str, Any]:
        """Return what the value depends on besides the network and the data; it is recorded with the value.

        Args:
            n_train: number of training images, an upper bound of `samples`.
            order:   `stored` or `stratified`, how the source orders them; None if not known: it is left out.
        """
        if GRAM in self.needs:
            return convention.of_gram(config.gamma, n_train, order)
        return convention.of_settings(config, self.settings, n_train)

    def complete(self, found: MeasureValue, recorded_with: Mapping[str, Any]) -> MeasureValue:
        """Return a computed value with its unit, its direction, its interval and its convention."""
        finite = found.finite()
        extras = {"convention": recorded_with, **finite.interval(), **finite.extras}
        return replace(finite, unit=self.unit, direction=self.direction, extras=extras)


_MEASURES: dict[str, Measure] = {}


def register_measure(
    *,
    name: str,
    formula: str,
    source: str,
    unit: str,
    direction: Direction,
    cost: str,
    passes: Passes,
    needs: tuple[str, ...] = (),
    settings: tuple[str, ...] = (),
    suite: Suite = "all",
) -> Callable[[Compute], Compute]:
    """Return a decorator that adds a function to the registry under `name`; see `Measure` for the arguments."""

    def register(compute: Compute) -> Compute:
        _MEASURES[name] = Measure(name, formula, source, unit, direction, cost, passes, needs, settings, suite, compute)
        return compute

    return register


def all_measures() -> list[Measure]:
    """Return every measure: gamma, then the others by suite, and within a suite family by family."""
    for module in pkgutil.iter_modules(library.__path__):  # by name
        import_module(f"{library.__name__}.{module.name}")  # importing it registers its measures
    return sorted(_MEASURES.values(), key=lambda one: (one.name != "gamma", SUITES.index(one.suite)))


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
