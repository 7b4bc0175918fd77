"""Every setting of a run, from the schema: meaning, type, range, and the choices that have it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
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
    annotated_types.Gt: "> {0.gt:g}",
    annotated_types.Ge: "≥ {0.ge:g}",
    annotated_types.Lt: "< {0.lt:g}",
    annotated_types.Le: "≤ {0.le:g}",
}


@dataclass(frozen=True)
class Setting:
    """A setting of a run.

    Args:
        name:    dotted, such as `optimizer.l2`.
        meaning: in words; empty if its name says all.
        type:    in words, such as "number" or "whole number, or null".
        range:   such as "> 0, ≤ 1"; empty if there is none.
        choices: the words that it may be; empty if it is not a word of a list.
        of:      the choices of the group that have it, such as ("adam", "adamw"); empty if all do.
    """

    name: str
    meaning: str
    type: str
    range: str
    choices: tuple[str, ...] = ()
    of: tuple[str, ...] = ()


@cache
def settings() -> tuple[Setting, ...]:
    """Return all settings of a run, in the order of the schema; `name`, which chooses a record, is left out."""
    found: dict[str, Setting] = {}
    for name, field in RunConfig.model_fields.items():
        records = [one for one in _types(field.annotation) if _is_record(one) and not _is_imported(one)]
        if not records:
            found[name] = _setting(name, field, ())
        tags = {record: _tags(record) for record in records}
        for record in records:
            for one, inner in _fields(record, name):
                known = found.get(one)
                of = (*(known.of if known else ()), *tags[record])
                found[one] = _setting(one, inner, of)
    everywhere = {name: _all_tags(field.annotation) for name, field in RunConfig.model_fields.items()}
    return tuple(
        Setting(**{**vars(one), "of": () if set(one.of) >= everywhere[one.name.partition(".")[0]] else one.of})
        for one in found.values()
        if one.name not in ("choices", "imported")
    )


def _fields(record: type[BaseModel], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    """Yield the settings of a record and of the records in it."""
    for name, field in record.model_fields.items():
        inner = [one for one in _types(field.annotation) if _is_record(one)]
        if inner:
            for one in inner:
                yield from _fields(one, f"{prefix}.{name}")
        elif name != "name":
            yield f"{prefix}.{name}", field


def _setting(name: str, field: FieldInfo, of: tuple[str, ...]) -> Setting:
    kinds = list(_types(field.annotation))
    words = tuple(str(value) for kind in kinds if get_origin(kind) is Literal for value in get_args(kind))
    choices = words or (("true", "false") if bool in kinds else ())
    limits = [*field.metadata, *_metadata(field.annotation)]
    bounds = ", ".join(text for limit in limits for text in _bounds(limit))
    return Setting(name, field.description or "", _words(kinds), bounds, choices, of)


def _words(kinds: list[Any]) -> str:
    """Return the type in words."""
    names = {
        bool: "true or false",
        int: "whole number",
        float: "number",
        str: "text",
        NoneType: "null",
        dict: "mapping",
    }
    found = []
    for kind in kinds:
        origin = get_origin(kind)
        if origin is Literal:
            found.append("one of its choices")
        elif origin is tuple:
            found.append("list")
        else:
            found.append(names.get(origin or kind, "value"))
    unique = list(dict.fromkeys(found))
    return ", or ".join([*(one for one in unique if one != "null"), *(["null"] if "null" in unique else [])])


def _bounds(limit: Any) -> list[str]:
    """Return one bound of a number or of a length in symbols."""
    if isinstance(limit, FieldInfo):
        return [text for one in limit.metadata for text in _bounds(one)]
    return [text.format(limit) for kind, text in _BOUNDS.items() if isinstance(limit, kind)]


def _types(annotation: Any) -> Iterator[Any]:
    """Yield the members of a union, without what is annotated to them."""
    if get_origin(annotation) is Annotated:
        yield from _types(get_args(annotation)[0])
    elif get_origin(annotation) in (Literal, tuple, dict) or not get_args(annotation):
        yield annotation
    else:
        for inner in get_args(annotation):
            yield from _types(inner)


def _metadata(annotation: Any) -> Iterator[Any]:
    """Yield what is annotated to the members of a union."""
    if get_origin(annotation) is Annotated:
        yield from get_args(annotation)[1:]
        yield from _metadata(get_args(annotation)[0])
    elif get_origin(annotation) not in (Literal, tuple, dict, None):
        for inner in get_args(annotation):
            yield from _metadata(inner)


def _is_record(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _tags(record: type[BaseModel]) -> tuple[str, ...]:
    """Return the names that choose a record."""
    field = record.model_fields.get("name")
    return tuple(map(str, get_args(field.annotation))) if field and get_origin(field.annotation) is Literal else ()


def _all_tags(annotation: Any) -> set[str]:
    records = [one for one in _types(annotation) if _is_record(one) and not _is_imported(one)]
    return {tag for record in records for tag in _tags(record)}


def _is_imported(record: type[BaseModel]) -> bool:
    """Return whether only `infomcr import` makes such a record."""
    return record is ImportedConfig or _tags(record) == ("imported",)
