"""Combinations that a sweep leaves out: each is a list of conditions, all of which must hold."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Glob, Override, QuotedString

from infomcr_cli.config.compose import no_such
from infomcr_cli.config.overrides import check_step, parse
from infomcr_cli.config.reference import settings
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.config.search_path import group_choices
from infomcr_cli.errors import InputError

MOST_VALUES = 100_000  # of one condition


@dataclass(frozen=True)
class OverrideCondition:
    """A setting or a group, and the values to exclude."""

    key: str
    override: Override
    values: tuple[Any, ...]

    def holds(self, value: Any) -> bool:
        """Return whether a value is excluded; 1 and 1.0 are the same, 1 and true are not."""
        if isinstance(self.override.value(), Glob):
            return bool(self.override.value().filter([str(value)]))
        return any(
            (value == meant and isinstance(value, bool) == isinstance(meant, bool)) or str(value) == str(meant)
            for meant in self.values
        )


@dataclass(frozen=True)
class Exclusion:
    """Conditions that together describe the combinations to leave out."""

    text: str
    conditions: tuple[OverrideCondition, ...]

    def covers(self, spelled: Mapping[str, Any]) -> bool:
        """Return whether the overrides alone show that all conditions hold."""
        return all(c.key in spelled and c.holds(spelled[c.key]) for c in self.conditions)

    def covers_settings(self, spelled: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
        """Return whether all conditions hold for the composed settings."""
        return all(c.holds(_value(c.key, spelled, settings)) for c in self.conditions)


_ABSENT = object()


def parse_exclusions(texts: Sequence[str], config_dir: Path | None = None) -> list[Exclusion]:
    """Return the exclusions that `sweep.exclude` describes.

    Raises:
        InputError: a text is not KEY=VALUE KEY=VALUE …, or names a setting or choice that does not exist.

    Example: parse_exclusions(["reg=on data.batch_size=16,32"]) leaves out two batch sizes if the regularizer is on.
    """
    exclusions, choices = [_exclusion(text) for text in texts], group_choices(config_dir)
    for condition in (condition for exclusion in exclusions for condition in exclusion.conditions):
        _check(condition, choices)
    return exclusions


# Mappings whose keys the user chooses, so that the schema does not list them.
_FREE = ("data.settings.", "model.settings.", "engine.extra.", "choices.", "imported.")


def _check(condition: OverrideCondition, choices: Mapping[str, Sequence[str]]) -> None:
    group = condition.key.partition(".")[0]
    known = sorted({*choices, *RunConfig.model_fields})
    if group not in known:
        raise InputError("sweep.exclude must name settings of a run", received=condition.key, accepted=known)
    names = {*known, *(setting.name for setting in settings()), *(f"{name}.name" for name in choices)}
    if condition.key not in names and not condition.key.startswith(_FREE):
        raise no_such(condition.key, sorted(names))
    for value in condition.values if condition.key in choices else ():
        if value is not None and str(value) not in choices[condition.key]:
            rule = f"{condition.key} in sweep.exclude must be one of its choices"
            raise InputError(rule, received=value, accepted=choices[condition.key])


def _exclusion(text: str) -> Exclusion:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise InputError("sweep.exclude must list KEY=VALUE KEY=VALUE", received=text, advice=str(error)) from None
    if not words:
        raise InputError("sweep.exclude must list KEY=VALUE KEY=VALUE", received=text)
    return Exclusion(text, tuple(_condition(override) for override in parse(words)))


def _condition(override: Override) -> OverrideCondition:
    if isinstance(override.value(), Glob):
        return OverrideCondition(override.key_or_group, override, ())
    if override.is_interval_sweep():
        rule, advice = "sweep.exclude must list values", "Write KEY=a,b or range(0,3)."
        raise InputError(rule, received=override.input_line, advice=advice)
    check_step(override)
    listed = override.sweep_iterator() if override.is_sweep_override() else iter([override.value()])
    values = list(islice(listed, MOST_VALUES + 1))
    if len(values) > MOST_VALUES:
        raise InputError(f"sweep.exclude must list at most {MOST_VALUES:,} values", received=override.input_line)
    plain = tuple(value.text if isinstance(value, QuotedString) else value for value in values)
    return OverrideCondition(override.key_or_group, override, plain)


def _value(key: str, spelled: Mapping[str, Any], settings: Mapping[str, Any]) -> Any:
    """Return the value of a setting or the name chosen from a group; `_ABSENT` for settings of other choices."""
    if key in settings["choices"]:
        return settings["choices"][key]
    if key in spelled:
        return spelled[key]
    value: Any = settings
    for part in key.split("."):
        value = value.get(part, _ABSENT) if isinstance(value, Mapping) else _ABSENT
    return value
