"""Settings of recorded runs as flat names and texts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

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


def setting_text(settings: Mapping[str, Any], name: str) -> str | None:
    """Return the whole value of a setting as text; None if there is no such setting."""
    return full_text(settings[name]) if name in settings else None


def full_text(value: Any) -> str:
    """Return the whole of a value as text, strings bare, the rest as JSON: to compare by, not safe to print."""
    return value if isinstance(value, str) else json.dumps(value, default=str)
