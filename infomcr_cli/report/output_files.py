"""Files that a command is told to write: checked before the work, written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.runs.io.safe_files import write_atomically

_PROBE = 64 * 1024  # bytes that there must be room for; the smallest page is larger
_BESIDE = ".12345678.tmp"  # as much as the name of a file grows while it is written


def check_file(path: Path, option: str) -> None:
    """Raise where a file cannot be written, before anything is done for it.

    Args:
        option: which names the file, such as "--csv".

    Raises:
        InputError: it is a folder, lies where nothing can be written, or the disk is full.
    """
    try:
        if path.is_dir():
            raise _refusal(path, option, "it is a folder")
        if path.exists() and not os.access(path, os.W_OK):
            raise _refusal(path, option, "Permission denied")
        if path.is_file() or not path.exists():
            _is_there(path.with_name(f"{path.name}{_BESIDE}"))
            _check_room(path.resolve().parent)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise _refusal(path, option, getattr(error, "strerror", None) or str(error)) from None


def check_folder(path: Path, option: str) -> None:
    """Raise where files cannot be written into a folder, which need not be there yet.

    Raises:
        InputError: it is a file, lies where nothing can be written, or the disk is full.
    """
    try:
        _check_room(path)
    except (OSError, ValueError) as error:
        raise _refusal(path, option, getattr(error, "strerror", None) or str(error), "a folder") from None


def write_whole(path: Path, content: bytes, option: str) -> None:
    """Write a file, whole or not at all; the folders above it are made.

    Raises:
        InputError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file():  # a terminal or a pipe is written to, not replaced
            path.write_bytes(content)
        else:
            write_atomically(path.resolve(), content)
    except OSError as error:
        raise _refusal(path, option, error.strerror or str(error)) from None


def _check_room(folder: Path) -> None:
    """Raise OSError where no file of some size can be made in a folder, or in the nearest one above it."""
    while not _is_there(folder):
        folder = folder.parent
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(_PROBE))
        file.flush()


def _is_there(path: Path) -> bool:
    """Return whether something has that path; OSError where nothing ever can, as with names that are too long."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True


def _refusal(path: Path, option: str, why: str, what: str = "a file") -> InputError:
    return InputError(f"{option} must name {what} that can be written ({why})", received=printable(str(path)))
