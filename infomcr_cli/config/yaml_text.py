"""A run's settings as YAML and as plain dicts, without the passwords of URIs."""

from __future__ import annotations

from typing import Any

import yaml

from infomcr_cli.config.schema.imported import without_stand_ins
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.console.redaction import redact_uri, redact_uris


def to_yaml(config: RunConfig, *, escaped: bool = False) -> bytes:
    """Return the resolved settings as YAML; passwords in URIs are left out, and nothing else is changed.

    Args:
        escaped: whether letters beyond ASCII are spelled as escapes.
    """
    return yaml.safe_dump(as_document(config), sort_keys=False, allow_unicode=not escaped).encode()


def as_document(config: RunConfig) -> Any:
    """Return the resolved settings as plain dicts and lists; passwords in URIs are left out.

    Of an imported run nothing is said about a training that is not known.
    """
    return _redacted(without_stand_ins(config.model_dump(mode="json")))


def _redacted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _redacted(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_redacted(entry) for entry in value]
    return redact_uris(redact_uri(value)) if isinstance(value, str) else value
