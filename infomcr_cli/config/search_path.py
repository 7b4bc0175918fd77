"""Where the configuration lies: a user's own folder first, then what travels with the package."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError

_log = logging.getLogger("infomcr.config")
_PACKAGE = Path(__file__).resolve().parent.parent


def own_conf() -> Path:
    """Return the configuration of infomcr itself: inside an installed wheel, or beside the package in a checkout."""
    inside = _PACKAGE / "conf"
    return inside if inside.is_dir() else _PACKAGE.parent / "conf"


def search_path(config_dir: Path | None) -> list[Path]:
    """Return the folders to search, first match wins.

    Args:
        config_dir: what --config-dir gave; None: `conf/` of the working directory if it holds a group.

    Raises:
        InputError: --config-dir is no folder.
    """
    if config_dir is not None and not config_dir.is_dir():
        raise InputError("--config-dir must be a folder that contains config groups", received=str(config_dir))
    if config_dir is not None:
        os.listdir(config_dir)  # a folder that cannot be read would seem to be empty
    user = config_dir.resolve() if config_dir is not None else user_conf()
    return list(dict.fromkeys([*([user] if user else []), own_conf()]))


def user_conf() -> Path | None:
    """Return `conf/` of the working directory, which is used without --config-dir if it holds a group; None otherwise.

    Anyone may have made it: a function or a server that only it names is not used until the user names it.
    """
    folder = Path("conf")
    return folder.resolve() if _holds_groups(folder) and folder.resolve() != own_conf() else None


def say_what_is_used(config_dir: Path | None) -> None:
    """Say on standard error, once, that `conf/` is used without --config-dir."""
    folder = user_conf() if config_dir is None else None
    if folder is not None:
        _say_once(folder)


@cache
def _say_once(folder: Path) -> None:
    _log.warning("Configuration in %s is used too.", printable(str(folder)))


def group_choices(config_dir: Path | None) -> dict[str, list[str]]:
    """Return the names that each group offers, by group."""
    choices: dict[str, set[str]] = {}
    for folder in search_path(config_dir):
        for file in filter(Path.is_file, folder.glob("*/*.yaml")):
            choices.setdefault(file.parent.name, set()).add(file.stem)
    return {group: sorted(names) for group, names in sorted(choices.items())}


def _holds_groups(folder: Path) -> bool:
    """Return whether a folder called conf holds a group of ours: if not, it belongs to another program.

    One with config.yaml or sweep.yaml alone may do so too; --config-dir uses it.
    """
    groups = {path.name for path in own_conf().iterdir() if path.is_dir()}
    return folder.is_dir() and any(path.is_dir() and path.name in groups for path in folder.iterdir())


_folders: ContextVar[Sequence[Path]] = ContextVar("_folders", default=())


class _FoldersFirst(SearchPathPlugin):  # type: ignore[misc]
    """Puts the folders of the current composition before all others."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Prepend the folders, the last one first, so that they stand in order."""
        for folder in reversed(_folders.get()):
            search_path.prepend("infomcr", f"file://{folder}")


@contextmanager
def searching(folders: Sequence[Path]) -> Iterator[None]:
    """Let Hydra search `folders` first while the block runs."""
    if _FoldersFirst not in Plugins.instance().discover(SearchPathPlugin):
        Plugins.instance().register(_FoldersFirst)
    token = _folders.set(folders)
    try:
        yield
    finally:
        _folders.reset(token)
