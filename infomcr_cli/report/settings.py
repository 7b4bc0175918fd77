"""The settings of a run as dotted names, and which of them make its weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel

from infomcr_cli.runs.documents import printable


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
    from infomcr_cli.config.schema import RunConfig

    return frozenset(RunConfig.model_fields)


@cache
def _asides() -> frozenset[str]:
    from infomcr_cli.config.schema import RunConfig

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
