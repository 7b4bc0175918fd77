"""Commands that a message suggests: each works as it is printed, pasted into the same shell."""

from __future__ import annotations

import shlex
from pathlib import Path


def shortest_path(path: Path) -> Path:
    """Return a path as seen from the working folder if it lies in it."""
    try:
        return path.relative_to(Path.cwd())
    except (ValueError, OSError):
        return path


def suggested_command(command: str, *words: object, config_dir: Path | None = None) -> str:
    """Return a command of this program, quoted for a shell.

    Args:
        config_dir: what --config-dir gave; None: it was not given.

    Example: suggested_command("sync", "my runs/a") is "infomcr sync 'my runs/a'".
    """
    options = [] if config_dir is None else ["--config-dir", config_dir]
    return shlex.join(str(word) for word in ("infomcr", command, *options, *words))
