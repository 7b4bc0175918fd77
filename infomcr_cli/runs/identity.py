"""Which settings make a run's weights, and the hash of them that is the run's identity."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.errors import InputError
from infomcr_cli.runs.directory import split_start
from infomcr_cli.runs.status import read_status_file

HEAD = 16  # digits by which a run is named


def identity(config: RunConfig) -> str:
    """Return the SHA-256 of the settings that make a run's weights, hexadecimal; where files lie is no part of it."""
    settings = {**identity_settings(config), "start": config.start and origin(config.start)}
    canonical = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def with_other_data(identity: str, place: str) -> str:
    """Return the identity of a run that differs from another one only in its data: another head, the same tail.

    Args:
        place: where the data lie.
    """
    head = hashlib.sha256(f"{identity}\0{place}".encode()).hexdigest()[:HEAD]
    return head + tail(identity)


def tail(identity: str) -> str:
    """Return the part of an identity that the settings alone decide, wherever the data lie."""
    return identity[HEAD:]


def identity_settings(record: BaseModel) -> dict[str, Any]:
    """Return the settings that are part of the identity, nested as in the configuration."""
    kept: dict[str, Any] = {}
    for name, field in type(record).model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict) and extra.get("identity") is False:
            continue
        value = getattr(record, name)
        if isinstance(extra, dict) and extra.get("identity") == "unless default" and value == field.default:
            continue
        kept[name] = identity_settings(value) if isinstance(value, BaseModel) else value
    return kept


def settings_of_identity(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of some flat settings that are part of the identity: no paths, device, tracking and the like."""
    groups = RunConfig.model_fields.keys()
    return {
        name: value
        for name, value in flat.items()
        if name.partition(".")[0] in groups and not is_within(name, _not_hashed())
    }


def is_within(name: str, names: Collection[str]) -> bool:
    """Return whether a dotted name, or a group that it is in, is among some names.

    Examples:
        >>> is_within("measure.gamma.draws", {"measure"}), is_within("data.name", {"measure"})
        (True, False)
    """
    parts = name.split(".")
    return any(".".join(parts[: depth + 1]) in names for depth in range(len(parts)))


def dotted_fields(record: type[BaseModel] = RunConfig, prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield the dotted name of each setting with its field in the schema, groups included."""
    for name, field in record.model_fields.items():
        yield prefix + name, field
        for inner in _records_in(field.annotation):
            yield from dotted_fields(inner, f"{prefix}{name}.")


@cache
def _not_hashed() -> frozenset[str]:
    return frozenset(name for name, field in dotted_fields() if mark_of(field, "identity") is False)


def mark_of(field: FieldInfo, name: str) -> Any:
    """Return what the schema notes beside a field under a name; None: nothing."""
    extra = field.json_schema_extra
    return extra.get(name) if isinstance(extra, Mapping) else None


def _records_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _records_in(inner)


def origin(start: str) -> str:
    """Return what a run starts from, wherever that lies: the other run's identity, and the checkpoint."""
    path, name = split_start(start)
    try:
        return f"{read_status_file(Path(path)).identity or path}@{name or 'last'}"
    except (InputError, OSError):  # it is gone, or was never there
        return start
