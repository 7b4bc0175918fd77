"""The settings of recorded runs as flat names and texts, and the axes of a comparison: those that differ between runs.

Only settings that make the weights can be axes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from infomcr_cli.config import flat_settings
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.console.text import printable
from infomcr_cli.judging.ties import level_of, parse_number
from infomcr_cli.report.columns import REPLICATE
from infomcr_cli.runs.identity import dotted_fields, is_within, mark_of

ABSENT = "–"
SHOWN = 60  # characters of a value
_IMPORTED = "imported.settings."


def flatten(config: Any) -> dict[str, Any]:
    """Return nested mappings as dotted names that are safe to print; lists stay whole."""
    return flat_settings.flatten(config, key_text=lambda key: printable(str(key), 100))


def weight_settings(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flat settings that make the weights: no paths, device, tracking and the like.

    A setting that older runs do not have is left out if it is at its default. What the user said about the training of
    an imported run stands under the names that the user gave it.
    """
    groups, defaults = RunConfig.model_fields.keys(), _later_defaults()
    known = {
        name: value
        for name, value in flat.items()
        if name.partition(".")[0] in groups and not is_within(name, _no_axes())
    }
    known = {name: value for name, value in known.items() if name not in defaults or value != defaults[name]}
    if not any(name.startswith("imported.") for name in flat):
        return known
    # The seed of an imported run is that of its measures; the one of its training is a setting like any other.
    given = {name.removeprefix(_IMPORTED): value for name, value in known.items() if name.startswith(_IMPORTED)}
    rest = {name: value for name, value in known.items() if not name.startswith("imported.") and name != "seed"}
    return {**rest, **given}


def setting_text(settings: Mapping[str, Any], name: str) -> str | None:
    """Return the whole value of a setting as text, its default for one that older runs do not have; else None."""
    if name in settings:
        return full_text(settings[name])
    is_later = name in _later_defaults() and f"{name.partition('.')[0]}.name" in settings
    return full_text(_later_defaults()[name]) if is_later else None


def json_value(value: Any) -> Any:
    """Return a setting as a JSON document can hold it: a date, NaN and infinities as text.

    Examples:
        >>> json_value({"a": [float("inf"), 1.5], "b": None})
        {'a': ['inf', 1.5], 'b': None}
    """
    if isinstance(value, Mapping):
        return {str(key): json_value(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def full_text(value: Any) -> str:
    """Return the whole of a value as text, strings bare, the rest as JSON: to compare by, not safe to print."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


@cache
def _no_axes() -> frozenset[str]:
    """Return the settings that are not part of a run's identity, or that only name it."""
    fields = dotted_fields()
    return frozenset(name for name, field in fields if False in (mark_of(field, "identity"), mark_of(field, "axis")))


@cache
def _later_defaults() -> Mapping[str, Any]:
    """Return the settings that older runs do not have, with their defaults."""
    return {name: field.default for name, field in dotted_fields() if mark_of(field, "identity") == "unless default"}


@dataclass(frozen=True)
class Axis:
    """One hyperparameter that was varied.

    Attributes:
        name:   the setting that names the axis.
        keys:   all settings that change together with it, itself included.
        labels: the value of each run, safe to print. Different values have different labels; numbers that agree to
                12 significant digits are one value.
    """

    name: str
    keys: tuple[str, ...]
    labels: tuple[str, ...]

    @property
    def values(self) -> tuple[str, ...]:
        """The distinct values: numbers in order, then the rest."""

        def key(text: str) -> tuple[bool, float, str]:
            number = parse_number(text)
            return number is None, number or 0.0, text

        return tuple(sorted(set(self.labels), key=key))


def find_axes(settings: Sequence[Mapping[str, Any]]) -> tuple[Axis, ...]:
    """Return the axes of some runs; the seed numbers replicates and is never one.

    Settings that always change together cannot be separated and make one axis, unless each run has its own value. A
    choice of a group (`reg.name`) that another setting of the group determines (`reg.beta`) is not an axis, nor is a
    setting that differs only because the choice does (`optimizer.momentum`, which Adam does not have).

    Args:
        settings: for each run its flat settings that make the weights.
    """
    names = sorted({name for one in settings for name in one if name != REPLICATE}, key=_choices_first)
    columns = {name: _one_text_per_value([setting_text(one, name) for one in settings]) for name in names}
    varied = {name: labels_of(column) for name, column in columns.items() if len(set(column)) > 1}
    together: dict[Any, list[str]] = {}
    for name, column in varied.items():
        together.setdefault(_partition(name, column), []).append(name)
    axes = [Axis(keys[0], tuple(keys), varied[keys[0]]) for keys in together.values()]
    axes = [axis for axis in axes if not any(_determines(other, axis) for other in axes)]
    return tuple(axis for axis in axes if not any(_belongs_to(axis, choice) for choice in axes))


def labels_of(column: Sequence[str | None]) -> tuple[str, ...]:
    """Return texts as they are shown: cut at 60 characters, None as `ABSENT`.

    Texts that differ only in what is cut or masked are numbered, so there are as many labels as texts.

    Examples:
        >>> labels_of(["on", None, "on"])
        ('on', '–', 'on')
    """
    shown = {text: ABSENT if text is None else printable(text, SHOWN) for text in dict.fromkeys(column)}
    alike: dict[str, list[str | None]] = {}
    for text, name in shown.items():
        alike.setdefault(name, []).append(text)
    numbered = {text: f"{name} ({alike[name].index(text) + 1})" for text, name in shown.items() if len(alike[name]) > 1}
    return tuple((shown | numbered)[text] for text in column)


def _one_text_per_value(column: Sequence[str | None]) -> tuple[str | None, ...]:
    """Return the column with one text for each value: 0.3 also for 0.30000000000000004, the first of the two."""
    level = level_of(column)
    first = {level[text]: text for text in reversed(column)}  # of several texts of a level the first one stays
    return tuple(first[level[text]] for text in column)


def _choices_first(name: str) -> tuple[str, bool, str]:
    """Return the sort key of a setting: `reg.name` before the others of its group, so that an axis is named by it."""
    group, _, rest = name.partition(".")
    return group, rest != "name", rest


def _partition(name: str, column: tuple[str, ...]) -> Any:
    """Return how a setting divides the runs; settings of different groups that differ in every run stay separate."""
    first = {value: index for index, value in reversed(list(enumerate(column)))}  # value -> first run that has it
    parts = tuple(first[value] for value in column)
    return (parts, name.partition(".")[0]) if len(first) == len(column) > 2 else parts


def _determines(fine: Axis, coarse: Axis) -> bool:
    group, _, rest = coarse.name.partition(".")
    if fine is coarse or rest != "name" or not fine.name.startswith(f"{group}."):
        return False
    return _is_function(coarse.labels, fine.labels)


def _belongs_to(axis: Axis, choice: Axis) -> bool:
    """Return whether all settings of an axis are of the group of a choice, and follow from it."""
    group, _, rest = choice.name.partition(".")
    if axis is choice or rest != "name" or any(not key.startswith(f"{group}.") for key in axis.keys):
        return False
    return _is_function(axis.labels, choice.labels)


def _is_function(values: Sequence[str], arguments: Sequence[str]) -> bool:
    """Return whether runs with the same argument have the same value."""
    return len(set(zip(arguments, values, strict=True))) == len(set(arguments))
