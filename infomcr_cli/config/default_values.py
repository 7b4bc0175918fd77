"""The values that the files of configuration give to settings, by group and choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from infomcr_cli.config.reference import Setting
from infomcr_cli.config.search_path import search_path

TOP = "config"  # the file of what belongs to no group


def default_values(
    wanted: Sequence[Setting], groups: Mapping[str, Sequence[str]], config_dir: Path | None
) -> dict[str, dict[str, Any]]:
    """Return setting → choice → its value in the file of that choice; `config` stands for what belongs to no group.

    Args:
        groups: the choices of each group.
    """
    defaults: dict[str, dict[str, Any]] = {one.name: {} for one in wanted}
    for group in dict.fromkeys(one.name.partition(".")[0] for one in wanted):
        for choice in groups.get(group, ()):
            for name, value in values_of_choice(group, choice, config_dir).items():
                if name in defaults:
                    defaults[name][choice] = value
    top = _mapping("", TOP, config_dir)
    for name in defaults:
        if name in top:
            defaults[name][TOP] = top[name]
    return defaults


def default_choices(config_dir: Path | None) -> dict[str, str]:
    """Return the choice of each group that a run has if none is given."""
    listed = _mapping("", TOP, config_dir).get("defaults", [])
    entries = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    pairs = [pair for one in entries for pair in one.items()]
    return {str(group): str(choice) for group, choice in pairs if choice and " " not in str(group)}


def values_of_choice(group: str, choice: str, config_dir: Path | None) -> dict[str, Any]:
    """Return what the file of a choice holds, by dotted names with the group; groups in it are values too."""
    return _dotted(_mapping(group, choice, config_dir), f"{group}.")


def values_of_sweep(config_dir: Path | None) -> dict[str, Any]:
    """Return what the file of the settings of a sweep holds, by dotted names."""
    return _dotted(_mapping("", "sweep", config_dir), "sweep.")


def text_of_choice(group: str, choice: str, config_dir: Path | None) -> str:
    """Return the first file of that name in the search path; an empty text if it cannot be read."""
    paths = [folder / group / f"{choice}.yaml" for folder in search_path(config_dir)]
    try:
        return next((path.read_text(encoding="utf-8") for path in paths if path.is_file()), "")
    except (OSError, ValueError):
        return ""


def _mapping(group: str, name: str, config_dir: Path | None) -> dict[str, Any]:
    """Return what the first file of that name holds; nothing if it is not a mapping."""
    try:
        found = yaml.safe_load(text_of_choice(group, name, config_dir))
    except (ValueError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def _dotted(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    # Unlike `flatten`, a mapping stays as a value beside what is in it: a setting may itself be a mapping.
    dotted: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        dotted |= {name: value} | (_dotted(value, f"{name}.") if isinstance(value, dict) else {})
    return dotted
