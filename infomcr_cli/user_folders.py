"""The user's own folders; a user without a home has them among the temporary files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import platformdirs


def cache_folder_of_user() -> Path:
    """Return the folder for files that can be made again."""
    return _of_user(platformdirs.user_cache_path, "cache")


def state_folder() -> Path:
    """Return the folder for what infomcr remembers of the user, such as the tracking URIs that were given."""
    wanted = os.environ.get("INFOMCR_STATE")
    return Path(wanted) if wanted else _of_user(platformdirs.user_state_path, "state")


def temporary_folder() -> Path:
    """Return a folder of this user among the temporary files; a new one if another user has taken its name."""
    return _own_folder(tempfile.gettempdir())


@cache
def _own_folder(around: str) -> Path:
    user = getattr(os, "getuid", lambda: "user")()
    folder = Path(around) / f"infomcr-{user}"
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        about = folder.lstat()  # anyone may have made it before, or a link of its name
        if about.st_uid == user and not about.st_mode & 0o022 and not folder.is_symlink():
            return folder
    return Path(tempfile.mkdtemp(prefix="infomcr-", dir=around))


def ensure_home() -> None:
    """Set HOME to a temporary folder if the user has none, for all libraries of this process and its children."""
    if not os.path.isabs(os.path.expanduser("~")):  # neither HOME nor an entry among the system's users
        os.environ["HOME"] = str(temporary_folder())


def _of_user(path: Callable[[str], Path], name: str) -> Path:
    try:
        folder = path("infomcr")
    except RuntimeError:  # there is no home
        return temporary_folder() / name
    return folder if folder.is_absolute() else temporary_folder() / name  # older versions leave the ~ as it is
