"""Which settings make a run's weights, and the hash of them that is the run's identity."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel

from infomcr_cli.config.schema import RunConfig


def identity(config: RunConfig) -> str:
    """Return the SHA-256 of the settings that make a run's weights, hexadecimal."""
    canonical = json.dumps(identity_settings(config), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


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
    return {key: (old.get(key), new.get(key)) for key in sorted({*old, *new}) if old.get(key) != new.get(key)}


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
