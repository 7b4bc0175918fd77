"""Settings of recorded runs as flat names and texts, and which of them make the weights."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel

from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.console.text import printable


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as dotted names that are safe to print; lists stay whole.

    Examples:
        >>> flatten({"model": {"name": "wrn", "widths": [8, 16]}})
        {'model.name': 'wrn', 'model.widths': [8, 16]}
    """
    flat: dict[str, Any] = {}
    for key, value in config.items() if isinstance(config, Mapping) else ():
        name = f"{prefix}{printable(str(key), 100)}"
        flat |= flatten(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return flat


def weight_settings(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flat settings that make the weights: no paths, device, tracking and the like.

    A setting that came after the run was recorded has its default.
    """
    groups = RunConfig.model_fields.keys()
    known = {name.partition(".")[0] for name in flat}
    flat = {**{name: value for name, value in _later_defaults().items() if name.partition(".")[0] in known}, **flat}
    return {name: value for name, value in flat.items() if name.partition(".")[0] in groups and not _not_hashed(name)}


def setting_text(settings: Mapping[str, Any], name: str) -> str | None:
    """Return the whole value of a setting as text; None if there is no such setting."""
    return full_text(settings[name]) if name in settings else None


def full_text(value: Any) -> str:
    """Return the whole of a value as text, strings bare, the rest as JSON: to compare by, not safe to print."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _not_hashed(name: str) -> bool:
    parts = name.split(".")
    return any(".".join(parts[: depth + 1]) in _names_not_hashed() for depth in range(len(parts)))


@cache
def _names_not_hashed() -> frozenset[str]:
    return frozenset(_not_hashed_in(RunConfig, ""))


@cache
def _later_defaults() -> Mapping[str, Any]:
    """Return the defaults of the settings of groups that older runs do not have, by dotted name."""
    return {
        f"{group}.{name}": field.default
        for group, whole in RunConfig.model_fields.items()
        for record in _records_in(whole.annotation)
        for name, field in record.model_fields.items()
        if isinstance(field.json_schema_extra, Mapping) and field.json_schema_extra.get("identity") == "unless default"
    }


def _not_hashed_in(record: type[BaseModel], prefix: str) -> Iterator[str]:
    """Yield the dotted names of a record's fields that are not part of a run's identity."""
    for name, field in record.model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, Mapping) and extra.get("identity") is False:
            yield prefix + name
        for inner in _records_in(field.annotation):
            yield from _not_hashed_in(inner, f"{prefix}{name}.")


def _records_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _records_in(inner)
