"""Finding the axes of a comparison: the settings that make the weights and differ between the runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel

from infomcr_cli.console.text import printable
from infomcr_cli.judging.levels import level_of
from infomcr_cli.report.table_columns import REPLICATE

ABSENT = "–"
SHOWN = 60  # characters of a value


@dataclass(frozen=True)
class Axis:
    """One hyperparameter that was varied.

    Attributes:
        name:   the setting that stands for the axis.
        keys:   all settings that change together with it, itself included.
        labels: the value of each run, safe to print, unlike for values that are unlike. Numbers that agree to 12
                significant digits are one value.
    """

    name: str
    keys: tuple[str, ...]
    labels: tuple[str, ...]

    @property
    def values(self) -> tuple[str, ...]:
        """The distinct values, numbers in order, then the rest."""
        return tuple(sorted(set(self.labels), key=_in_order))


def find_axes(settings: Sequence[Mapping[str, Any]]) -> tuple[Axis, ...]:
    """Return the axes of some runs; the seed is a replicate and never one.

    Settings that always change together cannot be told apart and make one axis, unless each run has its own value. A
    choice of a group (`reg.name`) that another setting of the group determines (`reg.beta`) makes none of its own.
    """
    names = sorted({name for one in settings for name in one if name != REPLICATE}, key=_choices_first)
    columns = {name: _one_text_each([setting_text(one, name) for one in settings]) for name in names}
    varied = {name: labels_of(column) for name, column in columns.items() if len(set(column)) > 1}
    together: dict[Any, list[str]] = {}
    for name, column in varied.items():
        together.setdefault(_class(name, column), []).append(name)
    axes = [Axis(keys[0], tuple(keys), varied[keys[0]]) for keys in together.values()]
    return tuple(axis for axis in axes if not any(_determines(other, axis) for other in axes))


def setting_text(settings: Mapping[str, Any], name: str) -> str | None:
    """Return the whole of a setting's value as text, None where there is no such setting."""
    return full_text(settings[name]) if name in settings else None


def full_text(value: Any) -> str:
    """Return the whole of a setting's value, strings bare, the rest as JSON: to compare by, not safe to print."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def labels_of(column: Sequence[str | None]) -> tuple[str, ...]:
    """Return texts as they are shown: cut at 60 characters, None as `ABSENT`.

    Texts that differ only in what is cut or masked are numbered, so that as many labels are distinct as texts.

    Example: labels_of(["on", None, "on"]) is ("on", "–", "on").
    """
    shown = {text: ABSENT if text is None else printable(text, SHOWN) for text in dict.fromkeys(column)}
    alike: dict[str, list[str | None]] = {}
    for text, name in shown.items():
        alike.setdefault(name, []).append(text)
    numbered = {text: f"{name} ({alike[name].index(text) + 1})" for text, name in shown.items() if len(alike[name]) > 1}
    return tuple((shown | numbered)[text] for text in column)


def _one_text_each(column: Sequence[str | None]) -> tuple[str | None, ...]:
    """Return the column with one text for each value: 0.3 for 0.30000000000000004 too, the first of the two."""
    level = level_of(column)
    first = {level[text]: text for text in reversed(column)}
    return tuple(first[level[text]] for text in column)


def _choices_first(name: str) -> tuple[str, bool, str]:
    group, _, rest = name.partition(".")
    return group, rest != "name", rest


def _class(name: str, column: tuple[str, ...]) -> Any:
    """Return how a setting parts the runs; settings of different groups that are unlike in every run stay apart."""
    first = {value: index for index, value in reversed(list(enumerate(column)))}
    parts = tuple(first[value] for value in column)
    return (parts, name.partition(".")[0]) if len(first) == len(column) > 2 else parts


def _determines(fine: Axis, coarse: Axis) -> bool:
    group, _, rest = coarse.name.partition(".")
    if fine is coarse or rest != "name" or not fine.name.startswith(f"{group}."):
        return False
    return len(set(zip(fine.labels, coarse.labels, strict=True))) == len(set(fine.labels))


def _in_order(text: str) -> tuple[int, float, str]:
    try:
        return 0, float(text), text
    except ValueError:
        return 1, 0.0, text


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as dotted names; lists stay whole. Names are made safe to print."""
    flat: dict[str, Any] = {}
    for key, value in config.items() if isinstance(config, Mapping) else ():
        name = f"{prefix}{printable(str(key), 100)}"
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{name}.")
        else:
            flat[name] = value
    return flat


def weight_makers(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flat settings without those that leave the weights as they are: paths, device, tracking, …"""
    kept = {name: value for name, value in flatten(config).items() if not _is_aside(name)}
    return {name: value for name, value in kept.items() if name.partition(".")[0] in _groups()}


def _is_aside(name: str) -> bool:
    parts = name.split(".")
    return any(".".join(parts[: depth + 1]) in _asides() for depth in range(len(parts)))


@cache
def _groups() -> frozenset[str]:
    from infomcr_cli.config.schema.run import RunConfig

    return frozenset(RunConfig.model_fields)


@cache
def _asides() -> frozenset[str]:
    from infomcr_cli.config.schema.run import RunConfig

    return frozenset(_aside_names(RunConfig, ""))


def _aside_names(record: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in record.model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, Mapping) and extra.get("identity") is False:
            yield prefix + name
        for inner in _records_in(field.annotation):
            yield from _aside_names(inner, f"{prefix}{name}.")


def _records_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _records_in(inner)
