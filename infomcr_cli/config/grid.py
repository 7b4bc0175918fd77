"""Expand the sweep overrides of a command line to one validated run for each combination.

Hydra composes once for each combination of group choices; plain values are then set in its result, so that ten thousand
jobs are planned in seconds.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Glob, Override, QuotedString, ValueType

from infomcr_cli.config import overrides as grammar
from infomcr_cli.config.allowed_builders import marked_as_named
from infomcr_cli.config.compose import composed, dotted, no_such, reference_config, validate, with_matched_epochs
from infomcr_cli.config.exclude import Exclusion
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.config.search_path import group_choices, search_path
from infomcr_cli.errors import InputError

MOST_JOBS = 100_000
Settings = dict[str, Any]


@dataclass(frozen=True)
class GridPoint:
    """One combination: its overrides, and the run that they describe."""

    overrides: tuple[str, ...]
    config: RunConfig


@dataclass(frozen=True)
class Choice:
    """One value of an axis: as the text of an override, and as a plain value."""

    text: str
    value: Any


@dataclass(frozen=True)
class SweepAxis:
    """The values of one setting; a single one if it is not swept.

    Args:
        plain: whether a value can be set in composed settings without composing again.
    """

    key: str
    choices: tuple[Choice, ...]
    plain: bool


def expand(
    arguments: Sequence[str], config_dir: Path | None = None, exclusions: Sequence[Exclusion] = ()
) -> list[GridPoint]:
    """Return a run for each combination of the values that the overrides list, the last axis running fastest.

    Raises:
        InputError: an override is wrong, a combination is not a valid run, or no combination is left.

    Example: len(expand(["reg=on,off", "seed=range(3)"])) is 6.
    """
    groups = group_choices(config_dir)
    axes = [axis_of(override, groups) for override in grammar.parse(arguments)]
    check_axes(axes)
    composer = Composer(axes, config_dir, exclusions)
    combinations = itertools.product(*(axis.choices for axis in axes))
    points = [point for combination in combinations if (point := composer.point(combination)) is not None]
    if not points:
        raise InputError("a sweep needs at least one job", received="sweep.exclude leaves out every combination")
    return points


class Composer:
    """Turns combinations of values into runs; Hydra composes once for each combination of group choices.

    Args:
        axes:       one for each override; a combination has a value for each of them.
        exclusions: combinations to leave out.
    """

    def __init__(
        self, axes: Sequence[SweepAxis], config_dir: Path | None, exclusions: Sequence[Exclusion] = ()
    ) -> None:
        self._axes, self._config_dir, self._exclusions = axes, config_dir, exclusions
        self._compose_all = _interpolates(axes, config_dir)
        self._bases: dict[tuple[str, ...], Settings] = {}
        self._matched_to = cache(lambda: reference_config(config_dir))

    def point(self, combination: Sequence[Choice]) -> GridPoint | None:
        """Return the run of a combination; None if it is left out.

        Raises:
            InputError: it is not a valid run.
        """
        pairs = list(zip(self._axes, combination, strict=True))
        spelled = {axis.key: choice.value for axis, choice in pairs}
        # Before composing, which takes long: often the overrides alone decide.
        if any(exclusion.covers(spelled) for exclusion in self._exclusions):
            return None
        settings = self._base(pairs)
        for axis, choice in pairs:
            settings = _set(settings, axis.key, choice.value) if axis.plain else settings
        if any(exclusion.covers_settings(spelled, settings) for exclusion in self._exclusions):
            return None
        config = with_matched_epochs(validate(settings), self._matched_to)
        return GridPoint(
            tuple(choice.text for choice in combination), marked_as_named(config, spelled, self._config_dir)
        )

    def _base(self, pairs: Sequence[tuple[SweepAxis, Choice]]) -> Settings:
        """Return the composed settings in which the plain values are set afterwards."""
        spelling = tuple(choice.text for axis, choice in pairs if self._compose_all or not axis.plain)
        if spelling not in self._bases:
            whole = [choice.text for _, choice in pairs]  # a setting without a default may be given by its axis alone
            self._bases[spelling] = composed(whole, grammar.parse(whole), self._config_dir)
        return self._bases[spelling]


def axis_of(override: Override, groups: Mapping[str, Sequence[str]]) -> SweepAxis:
    """Return the axis of the values that an override lists.

    Raises:
        InputError: it lists none, or values that cannot be swept.
    """
    key = override.key_or_group
    if not override.is_sweep_override():
        grammar.check_choices([override], groups)
        return SweepAxis(key, (Choice(str(override.input_line), override.value()),), plain=False)
    check_makes_weights(override)
    names = [name for name in groups.get(key, ()) if name]
    choices = tuple(_choice(override, element) for element in _elements(override, names))
    if not choices:
        raise InputError(f"{key} must have a value", received=override.input_line, accepted=names)
    for choice in choices if key in groups else ():
        grammar.check_choices(grammar.parse([choice.text]), groups)
    plain = is_plain(override, groups)
    return SweepAxis(key, choices, plain and not any(isinstance(choice.value, dict) for choice in choices))


def check_makes_weights(override: Override) -> None:
    """Raise InputError if several values are given for a setting that does not change the weights."""
    group = override.key_or_group.partition(".")[0]
    if group in ("engine", "tracking", "sweep", "measure"):
        raise InputError(
            f"a sweep has one {group} for all its jobs",
            received=override.input_line,
            advice="Sweep only settings that change the weights.",
        )


def is_plain(override: Override, groups: Mapping[str, Sequence[str]]) -> bool:
    """Return whether a value of an override can be set in composed settings without composing again."""
    key = override.key_or_group
    return key not in groups and str(override.input_line).startswith(key) and override.package is None


def _elements(override: Override, names: Sequence[str]) -> list[Any]:
    if override.value_type is ValueType.GLOB_CHOICE_SWEEP:
        glob: Glob = override.value()
        return list(glob.filter(list(names)))
    if not (override.is_choice_sweep() or override.is_range_sweep()):
        search = "An interval is searched: add sweep.search=optuna sweep.trials=30 sweep.objective=validation_loss."
        raise InputError(
            "a sweep needs a list of values",
            received=override.input_line,
            advice=search if override.is_interval_sweep() else "Write a,b,c or range(0,3) or glob(*).",
        )
    grammar.check_step(override)
    return list(itertools.islice(override.sweep_iterator(), MOST_JOBS + 1))


def _choice(override: Override, element: Any) -> Choice:
    """Return one value with the text from which Hydra reads the same value."""
    text = f"{override.get_key_element()}={Override._get_value_element_as_str(element)}"
    if isinstance(element, QuotedString):
        return Choice(text, element.text)
    if isinstance(element, list | dict):
        return Choice(text, grammar.parse([text])[0].value())
    return Choice(text, element)


def check_axes(axes: Sequence[SweepAxis], *, limited: bool = True) -> None:
    """Raise InputError if a swept setting is given twice, or if there are too many combinations.

    Args:
        limited: whether there is a limit, because every combination is trained.
    """
    total = 1
    for axis in axes:
        total *= len(axis.choices)
        if len(axis.choices) > 1 and sum(other.key == axis.key for other in axes) > 1:
            raise InputError("a swept setting must be given only once", received=axis.key)
    if limited and total > MOST_JOBS:
        raise InputError(f"a sweep has at most {MOST_JOBS:,} combinations", received=f"{total:,}")


def _interpolates(axes: Sequence[SweepAxis], config_dir: Path | None) -> bool:
    """Return whether a value may refer to another value, so that Hydra must compose each combination."""
    spelled = any("${" in choice.text for axis in axes for choice in axis.choices)
    return spelled or any(_refers(file) for folder in search_path(config_dir) for file in folder.rglob("*.yaml"))


def _refers(file: Path) -> bool:
    try:
        return "${" in file.read_text(encoding="utf-8", errors="replace")
    except OSError:  # unknown: composing each combination is slower, but right in either case
        return True


def _set(settings: Settings, key: str, value: Any) -> Settings:
    """Return settings with one value replaced; all other groups are shared, not copied."""
    head, _, rest = key.partition(".")
    if head not in settings or (rest and not isinstance(settings[head], dict)):
        raise no_such(key, list(dotted(settings)))
    try:
        return {**settings, head: _set(settings[head], rest, value) if rest else value}
    except InputError:
        raise no_such(key, list(dotted(settings))) from None
