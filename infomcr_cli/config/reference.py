"""List every setting of a run, from the schema: meaning, type, range, and the choices of its group that have it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from infomcr_cli.config.schema.imported import ImportedConfig
from infomcr_cli.config.schema.run import RunConfig

_WORDS: dict[Any, str] = {
    Literal: "one of its choices",
    tuple: "list",
    dict: "mapping",
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    NoneType: "null",
}
_BOUNDS = {
    annotated_types.Gt: ("> {:g}", "gt"),
    annotated_types.Ge: ("≥ {:g}", "ge"),
    annotated_types.Lt: ("< {:g}", "lt"),
    annotated_types.Le: ("≤ {:g}", "le"),
}
_NO_BOUND = 1e9  # larger limits only keep numbers within their types


@dataclass(frozen=True)
class Setting:
    """A setting of a run.

    Args:
        name:    dotted, such as `optimizer.l2`.
        meaning: in words; empty if the name is enough.
        type:    in words, such as "whole number, or null".
        range:   such as "> 0, ≤ 1"; empty if there is none.
        choices: the words that it accepts, maybe beside other values; empty if it accepts none.
        of:      the choices of its group that have it, such as ("adam", "adamw"); empty if all have it.
    """

    name: str
    meaning: str
    type: str
    range: str
    choices: tuple[str, ...] = ()
    of: tuple[str, ...] = ()


@cache
def settings() -> tuple[Setting, ...]:
    """Return all settings of a run, in the order of the schema; `name`, which chooses a record, is left out.

    If a setting has another meaning with each choice of its group, its meaning lists them all.
    """
    found: dict[str, list[Setting]] = {}
    for group, field in RunConfig.model_fields.items():
        records = _records(field.annotation)
        if not records and group not in ("choices", "imported"):
            found[group] = [_setting(group, field)]
        for record in records:
            for name, inner in _fields(record, group):
                found.setdefault(name, []).append(_setting(name, inner, _tags(record)))
    return tuple(_merged(variants) for variants in found.values())


def _merged(variants: list[Setting]) -> Setting:
    """Return one setting for a setting that several choices of a group have."""
    first, of = variants[0], tuple(tag for one in variants for tag in one.of)
    choices = _records(RunConfig.model_fields[first.name.partition(".")[0]].annotation)
    if set(of) >= {tag for record in choices for tag in _tags(record)}:
        of = ()
    same_range = len({one.range for one in variants}) == 1
    if same_range and len({one.meaning for one in variants}) == 1:
        return replace(first, of=of)
    texts: dict[str, list[str]] = {}
    for one in variants:
        parts = (one.meaning, "" if same_range else one.range)
        texts.setdefault(", ".join(text for text in parts if text), []).extend(one.of)
    meaning = "; ".join(f"{', '.join(tags)}: {text}" for text, tags in texts.items() if text)
    return replace(first, meaning=meaning, range=first.range if same_range else "", of=of)


def settings_of(group: str, tag: str) -> tuple[Setting, ...]:
    """Return the settings of one choice of a group, with the meaning that they have for this choice.

    Args:
        tag: the value of the setting `name` of the choice.
    """
    records = _records(RunConfig.model_fields[group].annotation)
    record = next((one for one in records if tag in _tags(one)), records[0])
    return tuple(_setting(name, field) for name, field in _fields(record, group))


def settings_in(record: type[BaseModel], prefix: str) -> tuple[Setting, ...]:
    """Return the settings of a record that is not chosen by a name, such as the record of a sweep."""
    return tuple(_setting(f"{prefix}.{name}", field) for name, field in record.model_fields.items())


def _fields(record: type[BaseModel], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    """Yield the settings of a record and of the records in it."""
    for name, field in record.model_fields.items():
        inner = _records(field.annotation)
        for one in inner:
            yield from _fields(one, f"{prefix}.{name}")
        if not inner and name != "name":
            yield f"{prefix}.{name}", field


def _setting(name: str, field: FieldInfo, of: tuple[str, ...] = ()) -> Setting:
    kinds = _types(field.annotation)
    words = dict.fromkeys(_WORDS.get(get_origin(kind) or kind, "value") for kind in kinds)
    in_words = ", or ".join(sorted(words, key=lambda word: word == "null"))  # null last, the others in their order
    # pydantic moves the bounds of Annotated[int, …] to `field.metadata`; inside a union they stay in the annotation.
    limits = [*field.metadata, *_metadata(field.annotation)]
    bounds = dict.fromkeys(text for limit in limits for text in _bounds(limit))
    return Setting(name, field.description or "", in_words, ", ".join(bounds), words_of(field), of)


def words_of(field: FieldInfo) -> tuple[str, ...]:
    """Return the words that a setting accepts, maybe beside other values; empty if it accepts none."""
    kinds = list(_types(field.annotation))
    words = tuple(str(value) for kind in kinds if get_origin(kind) is Literal for value in get_args(kind))
    return words or (("true", "false") if bool in kinds else ())


def _bounds(limit: Any) -> list[str]:
    """Return the bounds of a number in symbols."""
    if isinstance(limit, FieldInfo):
        return [text for one in limit.metadata for text in _bounds(one)]
    found = [(text, getattr(limit, name)) for kind, (text, name) in _BOUNDS.items() if isinstance(limit, kind)]
    return [text.format(bound) for text, bound in found if abs(bound) < _NO_BOUND]


def _types(annotation: Any) -> Iterator[Any]:
    """Yield the members of a union, without their annotations."""
    if get_origin(annotation) is Annotated:
        yield from _types(get_args(annotation)[0])
    elif get_origin(annotation) in (Literal, tuple, dict) or not get_args(annotation):
        yield annotation
    else:
        for inner in get_args(annotation):
            yield from _types(inner)


def _metadata(annotation: Any) -> Iterator[Any]:
    """Yield the annotations of the members of a union."""
    if get_origin(annotation) is Annotated:
        yield from get_args(annotation)[1:]
        yield from _metadata(get_args(annotation)[0])
    elif get_origin(annotation) not in (Literal, tuple, dict, None):
        for inner in get_args(annotation):
            yield from _metadata(inner)


def _records(annotation: Any) -> list[type[BaseModel]]:
    """Return the records of a union, without those that only an imported run has."""
    kinds = [one for one in _types(annotation) if isinstance(one, type) and issubclass(one, BaseModel)]
    return [one for one in kinds if one is not ImportedConfig and _tags(one) != ("imported",)]


def _tags(record: type[BaseModel]) -> tuple[str, ...]:
    """Return the names that choose a record."""
    field = record.model_fields.get("name")
    return tuple(map(str, get_args(field.annotation))) if field and get_origin(field.annotation) is Literal else ()
