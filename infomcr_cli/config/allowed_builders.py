"""Whether a run may call functions of the user, for a network or for data; the permission is kept with its settings.

The user gives it by naming the function on the command line, or by naming the folder of a configuration with
--config-dir. A run directory may come from anyone, and so may a folder `conf/` in the working directory: what they name
is not trusted until the user names it. The same holds for a tracking server.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from infomcr_cli.config.schema.data import BuilderDataConfig
from infomcr_cli.config.schema.model import BuilderConfig
from infomcr_cli.config.schema.run import RunConfig, TrackingConfig

GROUPS = ("model", "data")  # those with a setting `builder`


def trusted(config: RunConfig, groups: Collection[str] = GROUPS) -> RunConfig:
    """Return a run whose functions, if it has any, count as named by the user.

    Args:
        groups: the groups whose function was named.
    """
    changes = {}
    for group in groups:
        own = getattr(config, group)
        if isinstance(own, BuilderConfig | BuilderDataConfig):
            changes[group] = own.model_copy()  # other runs may share the record
            changes[group]._is_trusted = True
    return config.model_copy(update=changes)


def marked_as_named(config: RunConfig, keys: Iterable[str], config_dir: Path | None) -> RunConfig:
    """Return a run in which functions and the tracking server count as named if the user has named them.

    Args:
        keys:       of the overrides on the command line.
        config_dir: the folder of --config-dir; the user who names it names what it contains.
    """
    known = set(keys)
    tracking = config.tracking.model_copy()
    tracking._is_named = config_dir is not None or "tracking.uri" in known
    groups = GROUPS if config_dir is not None else named_groups(known)
    return trusted(config.model_copy(update={"tracking": tracking}), groups)


def is_server_named(tracking: TrackingConfig) -> bool:
    """Return whether the user has named the tracking server of these settings on this command line."""
    return tracking._is_named


def trusted_groups(config: RunConfig) -> tuple[str, ...]:
    """Return the groups whose function the user has named."""
    return tuple(group for group in GROUPS if getattr(getattr(config, group), "_is_trusted", False))


def is_trusted(config: RunConfig) -> bool:
    """Return whether the user has named the function that builds the network of a run."""
    return "model" in trusted_groups(config)


def named_groups(keys: Iterable[str], config_dir: Path | None = None) -> list[str]:
    """Return the groups whose function is named by overrides of these keys, or by a choice with --config-dir."""
    known = set(keys)
    return [g for g in GROUPS if f"{g}.builder" in known or (config_dir is not None and g in known)]


def named_again(settings: Any) -> list[str]:
    """Return the overrides that a later command on a recorded run needs in order to call the user's functions.

    Args:
        settings: the content of config.yaml.
    """
    groups = {group: settings.get(group) for group in GROUPS} if isinstance(settings, dict) else {}
    found = {name: group.get("builder") for name, group in groups.items() if isinstance(group, dict)}
    builders = {name: path for name, path in found.items() if isinstance(path, str)}
    if not builders:
        return []
    from infomcr_cli.config.overrides import spelled  # Hydra's grammar, half of the import of a list of runs

    return [spelled(f"{name}.builder", path) for name, path in builders.items()]
