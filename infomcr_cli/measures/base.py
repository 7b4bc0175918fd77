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

from infomcr_cli.config.byte_size import shown
from infomcr_cli.config.schema.measure import GammaConfig, MeasureConfig
from infomcr_cli.errors import InputError
from infomcr_cli.measures import convention, library
from infomcr_cli.measures.families import FAMILIES, Change, Family
from infomcr_cli.measures.value import Direction, MeasureValue
from infomcr_cli.measures.work import Passes, gram_passes, no_passes

if TYPE_CHECKING:
    from infomcr_cli.measures.context import MeasureContext


Suite = Literal["fast", "standard", "all"]
NESTED: tuple[Suite, ...] = ("fast", "standard", "all")  # each holds the ones before it
SUITES = (*NESTED, "free", "volume")

# What a measure can need.
GRAM = "gram"  # the draws of gamma, from which the value is read
IMAGES = "training images"
INITIAL = "the run's seed"  # from which its initial weights are made anew
HISTORY = "the history of the run"
FOLDABLE = "convolutions, dense layers and batch norms only"

Compute = Callable[["MeasureContext"], MeasureValue]


@dataclass(frozen=True)
class Measure:
    """What a measure is.

    Args:
        name:      key in every document.
        formula:   in the notation of the design document.
        source:    paper, arXiv number.
        family:    the kind of measure, see `families.FAMILIES`.
        invariance: changes of the network under which the value stays the same, see `families.CHANGES`.
        unit:      of the value.
        direction: `lower` or `higher` is better.
        cost:      in words, in passes over the data.
        passes:    the work beside the common pass over the samples, or how many images pass forward. Measures with
                   the same function share it.
        shares:    further work that it shares with other measures, likewise.
        needs:     what is shared with other measures, such as `gram` for the draws of gamma,
                   and what the network must be.
        settings:  names under `measure.` that it depends on.
        suite:     the smallest of `fast`, `standard` and `all` that includes it.
        free:      whether it takes no more than gamma's draws, the gradients of the samples, the norms of the layers
                   and the history of the run.
        compute:   the function.
    """

    name: str
    formula: str
    source: str
    family: Family
    invariance: tuple[Change, ...]
    unit: str
    direction: Direction
    cost: str
    passes: Passes
    shares: tuple[Passes, ...]
    needs: tuple[str, ...]
    settings: tuple[str, ...]
    suite: Suite
    free: bool
    compute: Compute

    @property
    def all_passes(self) -> set[Passes]:
        """All its work, that of the draws included."""
        return {self.passes, *self.shares, *([gram_passes] if GRAM in self.needs else [])}

    @property
    def suites(self) -> tuple[str, ...]:
        """The names of all suites that include it; `free` and `volume` include gamma as every suite does."""
        nested = NESTED[NESTED.index(self.suite) :]
        return (*nested, *(["free"] if self.free else []), *(["volume"] if self.family == "volume" else []))

    def convention(self, config: MeasureConfig, n_train: int, order: str | None = None) -> dict[str, Any]:
        """Return what the value depends on besides the network and the data; it is recorded with the value.

        Args:
            n_train: number of training images, an upper bound of `samples`.
            order:   `stored` or `stratified`, how the source orders them; None if not known: it is left out.
        """
        if GRAM in self.needs:
            others = [name for name in self.settings if not name.startswith("gamma.")]
            return convention.of_gram(config.gamma, n_train, order) | convention.of_others(config, others, n_train)
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
    family: Family,
    unit: str,
    direction: Direction,
    cost: str,
    passes: Passes,
    invariance: tuple[Change, ...] = (),
    shares: tuple[Passes, ...] = (),
    needs: tuple[str, ...] = (),
    settings: tuple[str, ...] = (),
    suite: Suite = "all",
    free: bool | None = None,
) -> Callable[[Compute], Compute]:
    """Return a decorator that adds a function to the registry under `name`; see `Measure` for the arguments.

    Args:
        free: None: if it takes no passes of its own.
    """
    is_free = passes in (no_passes, gram_passes) if free is None else free

    def register(compute: Compute) -> Compute:
        _MEASURES[name] = Measure(
            name=name,
            formula=formula,
            source=source,
            family=family,
            invariance=invariance,
            unit=unit,
            direction=direction,
            cost=cost,
            passes=passes,
            shares=shares,
            needs=needs,
            settings=settings,
            suite=suite,
            free=is_free,
            compute=compute,
        )
        return compute

    return register


def _place(measure: Measure) -> tuple[bool, int, int, str]:
    return measure.name != "gamma", NESTED.index(measure.suite), list(FAMILIES).index(measure.family), measure.name


def chosen_measures(names: str | Iterable[str] = "all") -> list[Measure]:
    """Return the measures of a suite (see `SUITES`) or of a list of names.

    Gamma is the first, then the others by suite, within a suite by family, and by name.

    Raises:
        InputError: a name is unknown.
    """
    for module in pkgutil.iter_modules(library.__path__):  # by name
        import_module(f"{library.__name__}.{module.name}")  # importing it registers its measures
    known = {measure.name: measure for measure in sorted(_MEASURES.values(), key=_place)}
    if isinstance(names, str) and names in SUITES:
        return [measure for measure in known.values() if names in measure.suites]
    wanted = [names] if isinstance(names, str) else list(names)
    for name in wanted:
        if name in SUITES:
            raise InputError("a suite cannot stand in a list of measures", received=name, advice=f"Use measure={name}.")
        if name not in known:
            accepted = [*SUITES, *known] if isinstance(names, str) else known
            raise InputError("measure must be a suite or known measures", received=name, accepted=accepted)
    return [measure for measure in known.values() if measure.name in wanted]


def check_measures(config: MeasureConfig, train_size: int | None = None) -> None:
    """Check that the measures exist and that there are enough images for the draws, as `eval` would.

    Args:
        train_size: training images that there are to measure on; None: not known yet, and not checked.

    Raises:
        InputError: a name is unknown, or sizes do not fit together or are more than the images.
    """
    gamma = config.gamma
    _check_draws(gamma)
    _check_memory(gamma)
    if config.names in SUITES:  # not looked up, since the modules of all measures take half a second to import
        takes_draws = True  # every suite has gamma
    elif chosen := chosen_measures(config.names):
        takes_draws = any(GRAM in measure.needs for measure in chosen)
    else:
        raise InputError("measure.names must name at least one measure", advice="`infomcr measures` lists them.")
    if takes_draws and train_size is not None and gamma.draw_size > train_size:
        raise InputError(
            "measure.gamma.draw_size must not exceed the number of training images",
            received=f"draw_size={gamma.draw_size}, {train_size} images",
            advice=f"Try measure.gamma.draw_size={_fitting(gamma, train_size)}." if train_size > 1 else None,
        )


def _check_draws(gamma: GammaConfig) -> None:
    if gamma.draw_size > gamma.samples:
        rule = "measure.gamma.draw_size must not exceed measure.gamma.samples"
        raise InputError(rule, received=f"{gamma.draw_size} and {gamma.samples}")
    if gamma.batch_norm == "batch" and gamma.draw_size % gamma.chunk_size:
        rule = "measure.gamma.chunk_size must divide measure.gamma.draw_size if batch_norm=batch"
        raise InputError(rule, received=f"{gamma.chunk_size} and {gamma.draw_size}")


def _fitting(gamma: GammaConfig, images: int) -> int:
    """Return the largest draw of so many images, in whole chunks if images share batch statistics."""
    whole = images - images % gamma.chunk_size if gamma.batch_norm == "batch" else images
    return max(2, whole)


def _check_memory(gamma: GammaConfig) -> None:
    needed = gamma.draw_size**2 * 8  # the Gram matrix of a draw, float64
    if needed > gamma.memory:
        received = f"{shown(gamma.memory)}, for {gamma.draw_size} images"
        advice = f"Try measure.gamma.memory={shown(2 * 10**9 * (1 + needed // 10**9))}."
        raise InputError(
            "measure.gamma.memory must be large enough for the matrix of a draw", received=received, advice=advice
        )
