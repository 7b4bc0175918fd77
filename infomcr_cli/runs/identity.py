"""Which settings make a run's weights, and the hash of them that is the run's identity."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.errors import InputError
from infomcr_cli.runs.directory import split_start
from infomcr_cli.runs.status import read_status_file

HEAD = 16  # digits by which a run is named


def identity(config: RunConfig) -> str:
    """Return the SHA-256 of the settings that make a run's weights, hexadecimal; where files lie is no part of it."""
    settings = {**identity_settings(config), "start": config.start and _origin(config.start)}
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


def differences(before: RunConfig, after: RunConfig) -> dict[str, tuple[Any, Any]]:
    """Return the identity settings on which two runs differ: dotted name → (before, after)."""
    old, new = (_flat(identity_settings(config)) for config in (before, after))
    if before.start and after.start and _origin(before.start) == _origin(after.start):
        new["start"] = old["start"]
    return {key: (old.get(key), new.get(key)) for key in sorted({*old, *new}) if old.get(key) != new.get(key)}


def _origin(start: str) -> str:
    """Return what a run starts from, wherever that lies: the other run's identity, and the checkpoint."""
    path, name = split_start(start)
    try:
        return f"{read_status_file(Path(path)).identity or path}@{name or 'last'}"
    except (InputError, OSError):  # it is gone, or was never there
        return start


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
