"""A run's settings as YAML and as plain dicts, without the passwords of URIs."""

from __future__ import annotations

import math
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
    text: str = yaml.dump(
        as_document(config), Dumper=_OneLine, sort_keys=False, allow_unicode=not escaped, width=math.inf
    )
    return text.encode()


class _OneLine(yaml.SafeDumper):
    """Writes every text on one line, so that a comment can follow it."""


_OneLine.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style='"' if len(text.splitlines()) > 1 or text.endswith("\n") else None
    ),
)


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
