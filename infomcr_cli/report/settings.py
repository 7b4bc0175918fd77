"""The settings of a run as dotted names, and which of them make its weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel

from infomcr_cli.runs.documents import printable

_IMPORTED = "imported.settings."


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
    """Return the flat settings without those that leave the weights as they are: paths, device, tracking, …

    What the user said about the training of an imported run stands under the names that the user gave it.
    """
    kept = {name: value for name, value in flatten(config).items() if not _is_aside(name)}
    kept = {name: value for name, value in kept.items() if not _is_default_of_later(name, value)}
    known = {name: value for name, value in kept.items() if name.partition(".")[0] in _groups()}
    return _with_settings_of_import(known) if isinstance(config.get("imported"), Mapping) else known


def _with_settings_of_import(known: Mapping[str, Any]) -> dict[str, Any]:
    """The seed of an imported run is that of its measures; the one of its training is a setting like any other."""
    given = {name.removeprefix(_IMPORTED): value for name, value in known.items() if name.startswith(_IMPORTED)}
    rest = {name: value for name, value in known.items() if not name.startswith(_IMPORTED) and name != "seed"}
    return rest | given


def _is_default_of_later(name: str, value: Any) -> bool:
    return name in _laters() and value == _laters()[name]


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


@cache
def _laters() -> Mapping[str, Any]:
    """The settings that runs recorded before them do not have, with their defaults."""
    from infomcr_cli.config.schema import RunConfig

    return dict(_later_defaults(RunConfig, ""))


def _later_defaults(record: type[BaseModel], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, field in record.model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, Mapping) and extra.get("identity") == "unless default":
            yield prefix + name, field.default
        for inner in _records_in(field.annotation):
            yield from _later_defaults(inner, f"{prefix}{name}.")


def _aside_names(record: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in record.model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, Mapping) and (extra.get("identity") is False or extra.get("axis") is False):
            yield prefix + name
        for inner in _records_in(field.annotation):
            yield from _aside_names(inner, f"{prefix}{name}.")


def _records_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _records_in(inner)
