"""The space from which a search proposes settings, in Hydra's sweep syntax.

interval(0.01,0.5)  tag(log,interval(1e-4,1))  int(interval(8,64))   numbers between two bounds
range(10,41,6)                                                       numbers at equal distances
a,b  choice(a,b)  shuffle(a,b)  glob(*)                              choices without an order
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep, Sweep

from infomcr_cli.config import overrides as grammar
from infomcr_cli.config.exclude import Exclusion
from infomcr_cli.config.grid import (
    Choice,
    Composer,
    GridPoint,
    SweepAxis,
    axis_of,
    check_axes,
    check_makes_weights,
    is_plain,
)
from infomcr_cli.config.reference import settings
from infomcr_cli.config.search_path import group_choices
from infomcr_cli.errors import InputError

DIGITS = 6  # significant digits of a proposed number: the run is trained with the number that is displayed
Value = float | int | str


@dataclass(frozen=True)
class Numbers:
    """Numbers between two bounds; both may be proposed.

    Args:
        whole: only whole numbers are proposed.
        log:   whether the logarithm is sampled.
        step:  distance between two numbers; None: any number.
    """

    low: float
    high: float
    whole: bool = False
    log: bool = False
    step: float | None = None

    def nearest(self, value: float) -> float | int:
        """Return a proposed value rounded to few digits, within the bounds and on the steps.

        Example: Numbers(0.01, 0.5).nearest(0.123456789) is 0.123457.
        """
        if self.whole:
            return round(value)
        low, step = self.low, self.step
        if step is None:
            return min(max(float(f"{value:.{DIGITS}g}"), low), self.high)
        # The nearest low + k·step, with as few digits as Optuna's check of the steps permits.
        k = round((value - low) / step)
        rounded = (float(f"{low + k * step:.{digits}g}") for digits in (DIGITS, 12, 17))
        found = next(one for one in rounded if abs((one - low) / step - k) < 1e-9)
        return min(max(found, low), self.high)


@dataclass(frozen=True)
class Searched:
    """A setting that is searched.

    Args:
        key:     such as optimizer.learning_rate.
        axis:    its choices; for numbers, only the bounds.
        numbers: the numbers that it may be; None: it is one of its choices.
    """

    key: str
    axis: SweepAxis
    numbers: Numbers | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """The choices as text: what follows the equals sign."""
        return tuple(choice.text.partition("=")[2] for choice in self.axis.choices)

    def choice(self, value: Value) -> Choice:
        """Return a value with its override."""
        if self.numbers is None:
            return self.axis.choices[self.texts.index(str(value))]
        head = self.axis.choices[0].text.partition("=")[0]
        return Choice(f"{head}={value!r}", value)

    def describe(self) -> Any:
        """Return the axis as JSON; a search that is continued must have the same."""
        if self.numbers is None:
            return list(self.texts)
        one = self.numbers
        return {"low": one.low, "high": one.high, "whole": one.whole, "log": one.log, "step": one.step}


@dataclass(frozen=True)
class SearchSpace:
    """The settings that are searched, and the overrides that all runs of the search share.

    Args:
        overrides: all axes in their order; those that are not in `searched` have one value.
    """

    overrides: tuple[SweepAxis, ...]
    searched: Mapping[str, Searched]
    exclusions: tuple[Exclusion, ...]
    config_dir: Path | None = None

    @cached_property
    def _composer(self) -> Composer:
        return Composer(self.overrides, self.config_dir, self.exclusions)

    @property
    def combinations(self) -> int | None:
        """Number of different settings; None: infinitely many."""
        total = 1
        for one in self.searched.values():
            numbers = one.numbers
            if numbers is None:
                total *= len(one.axis.choices)
            elif numbers.whole or numbers.step is not None:
                total *= round((numbers.high - numbers.low) / (numbers.step or 1)) + 1
            else:
                return None
        return total

    @property
    def fixed(self) -> tuple[str, ...]:
        """The overrides that all runs share."""
        return tuple(axis.choices[0].text for axis in self.overrides if axis.key not in self.searched)

    def spelled(self, values: Mapping[str, Value]) -> tuple[str, ...]:
        """Return the overrides of one proposal, without those that all runs share."""
        return tuple(one.choice(values[key]).text for key, one in self.searched.items())

    def point(self, values: Mapping[str, Value]) -> GridPoint | None:
        """Return the run of some values; None if `sweep.exclude` leaves it out.

        Raises:
            InputError: the run is not valid.
        """
        searched = {key: one.choice(values[key]) for key, one in self.searched.items()}
        return self._composer.point([searched.get(axis.key, axis.choices[0]) for axis in self.overrides])

    def probes(self) -> Iterator[GridPoint]:
        """Yield runs in which each choice and each bound appears, so that an error is found before the search.

        Raises:
            InputError: one of the runs is not valid.
        """
        first = {key: _values(one)[0] for key, one in self.searched.items()}
        changed = ({**first, key: value} for key, one in self.searched.items() for value in _values(one)[1:])
        for values in (first, *changed):
            point = self.point(values)
            if point is not None:
                yield point

    def describe(self) -> dict[str, Any]:
        """Return the searched axes as JSON."""
        return {key: one.describe() for key, one in self.searched.items()}


def search_space(
    arguments: Sequence[str], config_dir: Path | None = None, exclusions: Sequence[Exclusion] = ()
) -> SearchSpace:
    """Return the space that the overrides describe.

    Raises:
        InputError: an override is wrong, or nothing is searched.

    Example: search_space(["optimizer.learning_rate=interval(0.01,0.5)", "reg=on,off"]) searches two settings.
    """
    groups = group_choices(config_dir)
    found = [_searched(override, groups) for override in grammar.parse(arguments)]
    check_axes([one.axis for one in found], limited=False)
    searched = {one.key: one for one in found if one.numbers is not None or len(one.axis.choices) > 1}
    if not searched:
        raise InputError(
            "a search needs at least one setting with several values",
            received=" ".join(arguments) or "no override",
            advice="For example 'optimizer.learning_rate=tag(log,interval(0.01,0.5))' or model.width=1,2,4.",
        )
    return SearchSpace(tuple(one.axis for one in found), searched, tuple(exclusions), config_dir)


def _searched(override: Override, groups: Mapping[str, Sequence[str]]) -> Searched:
    sweep = override.value() if override.is_sweep_override() else None
    if isinstance(sweep, Sweep) and getattr(sweep, "shuffle", False):
        sweep.shuffle = False  # a search that is continued must list the choices in the same order
    if not isinstance(sweep, IntervalSweep | RangeSweep):
        axis = axis_of(override, groups)
        distinct = {choice.text: choice for choice in axis.choices}  # a choice that is given twice is not more likely
        return Searched(axis.key, replace(axis, choices=tuple(distinct.values())))
    check_makes_weights(override)
    numbers = _interval(override, sweep) if isinstance(sweep, IntervalSweep) else _range(override, sweep)
    head = override.get_key_element()
    bounds = dict.fromkeys((numbers.nearest(numbers.low), numbers.nearest(numbers.high)))
    axis = SweepAxis(
        override.key_or_group, tuple(Choice(f"{head}={value!r}", value) for value in bounds), is_plain(override, groups)
    )
    return Searched(axis.key, axis, numbers if len(bounds) > 1 else None)


def _interval(override: Override, sweep: IntervalSweep) -> Numbers:
    low, high = float(sweep.start or 0.0), float(sweep.end or 0.0)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(
            "an interval must be increasing", received=override.input_line, advice="Write interval(LOW,HIGH)."
        )
    cast = isinstance(sweep.start, int) and isinstance(sweep.end, int)
    whole = cast or "int" in sweep.tags or _is_whole(override.key_or_group)
    low, high = (math.ceil(low), math.floor(high)) if whole else (low, high)
    if low > high:
        raise InputError("an interval of integers must contain an integer", received=override.input_line)
    return _checked(override, Numbers(low, high, whole, "log" in sweep.tags))


def _range(override: Override, sweep: RangeSweep) -> Numbers:
    """Return the numbers of a range; as in any sweep, its end is not one of them."""
    start, stop, step = (Decimal(bound) for bound in (sweep.start, sweep.stop, sweep.step))
    if not (start.is_finite() and stop.is_finite() and step.is_finite() and step):
        raise InputError("a range must have finite bounds and a step", received=override.input_line)
    count = math.ceil((stop - start) / step)  # not by listing the values: there may be any number of them
    if count < 1:
        raise InputError(f"{override.key_or_group} must have a value", received=override.input_line)
    # As decimals of their text: a sum of floats would miss the last step.
    start, step = Decimal(str(sweep.start)), Decimal(str(sweep.step))
    low, high = sorted((float(start), float(start + (count - 1) * step)))
    whole = all(isinstance(bound, int) for bound in (sweep.start, sweep.stop, sweep.step))
    is_log = "log" in sweep.tags
    return _checked(override, Numbers(low, high, whole, is_log, None if is_log else abs(float(sweep.step))))


def _checked(override: Override, numbers: Numbers) -> Numbers:
    if numbers.log and numbers.low <= 0:
        raise InputError("tag(log, …) needs a lower bound above 0", received=override.input_line)
    if numbers.whole:
        low, high = int(numbers.low), int(numbers.high)
        return replace(numbers, low=low, high=high, step=None if numbers.step is None else int(numbers.step))
    return numbers


def _is_whole(key: str) -> bool:
    """Return whether a setting takes whole numbers only."""
    types = {one.type for one in settings() if one.name == key}
    return bool(types) and all(text.startswith("whole number") for text in types)


def _values(one: Searched) -> list[Value]:
    if one.numbers is None:
        return list(one.texts)
    return [choice.value for choice in one.axis.choices]
