"""A run's settings as YAML, fit to be kept and shown."""

from __future__ import annotations

from typing import Any

import yaml

from infomcr_cli.config.imported_schema import without_stand_ins
from infomcr_cli.config.schema import RunConfig
from infomcr_cli.runs.redaction import redact


def as_yaml(config: RunConfig) -> bytes:
    """Return the resolved settings as YAML; passwords in URIs are left out."""
    known = without_stand_ins(config.model_dump(mode="json"))
    return yaml.safe_dump(_redacted(known), sort_keys=False, allow_unicode=True).encode()


def _redacted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _redacted(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_redacted(entry) for entry in value]
    return redact(value) if isinstance(value, str) else value
