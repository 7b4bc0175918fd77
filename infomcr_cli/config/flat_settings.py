"""Nested settings as dotted names, and the choices of their groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def flatten(settings: Any, prefix: str = "", *, key_text: Callable[[Any], str] = str) -> dict[str, Any]:
    """Return nested mappings as dotted names; lists stay whole, and what is not a mapping has no names.

    Args:
        key_text: how a key is written.

    Examples:
        >>> flatten({"model": {"name": "wrn", "widths": [8, 16]}})
        {'model.name': 'wrn', 'model.widths': [8, 16]}
    """
    flat: dict[str, Any] = {}
    for key, value in settings.items() if isinstance(settings, Mapping) else ():
        name = f"{prefix}{key_text(key)}"
        is_group = isinstance(value, Mapping)
        flat |= flatten(value, f"{name}.", key_text=key_text) if is_group else {name: value}
    return flat


def chosen_names(settings: Any) -> dict[str, str]:
    """Return group → chosen name, such as model → wrn, of settings that may be malformed.

    Examples:
        >>> chosen_names({"model": {"name": "wrn", "depth": 28}, "seed": 0})
        {'model': 'wrn'}
    """
    groups = settings if isinstance(settings, Mapping) else {}
    return {str(key): str(one["name"]) for key, one in groups.items() if isinstance(one, Mapping) and "name" in one}
