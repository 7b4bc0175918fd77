"""A user's folder before infomcr's own: Hydra's `hydra.searchpath` can only append, a plugin may prepend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

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
