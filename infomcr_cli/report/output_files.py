"""Files that the user names: checked before the work, written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.runs.io.safe_files import write_atomically

_PROBE = 64 * 1024  # bytes that the disk must have room for; the smallest page is larger
_TEMPORARY = ".12345678.tmp"  # as long as the suffix of a file that is being written


def check_outputs(*, csv: Path | None, html: Path | None, plots: Path | None) -> None:
    """Raise if a file or the folder of plots cannot be written.

    Raises:
        InputError: a path cannot be written to, or two of them are the same.
    """
    options: dict[str, str] = {}  # path → the option that names it
    for option, path in (("--csv", csv), ("--html", html), ("--plots", plots)):
        if path is not None and (other := options.setdefault(os.path.realpath(path), option)) != option:
            raise InputError(f"{other} and {option} must name different places", received=str(path))
    if csv is not None:
        check_file(csv, "--csv")
    if html is not None:
        check_file(html, "--html")
    if plots is not None:
        check_folder(plots, "--plots")


def check_file(path: Path, option: str) -> None:
    """Raise if a file cannot be written, before the work whose result it holds.

    Args:
        option: the option that names the file, such as "--csv".

    Raises:
        InputError: it is a folder, is in a place that cannot be written to, or the disk is full.
    """
    try:
        if path.is_dir():
            raise _refusal(path, option, "it is a folder")
        if path.exists() and not os.access(path, os.W_OK):
            raise _refusal(path, option, "Permission denied")
        if path.is_file() or not path.exists():
            _exists(path.with_name(f"{path.name}{_TEMPORARY}"))
            _check_room(path.resolve().parent)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise _refusal(path, option, getattr(error, "strerror", None) or str(error)) from None


def check_folder(path: Path, option: str) -> None:
    """Raise if files cannot be written into a folder, which need not exist yet.

    Args:
        option: the option that names the folder, such as "--plots".

    Raises:
        InputError: it is a file, is in a place that cannot be written to, or the disk is full.
    """
    try:
        _check_room(path)
    except (OSError, ValueError) as error:
        raise _refusal(path, option, getattr(error, "strerror", None) or str(error), "a folder") from None


def write_whole(path: Path, content: bytes, option: str) -> None:
    """Write a file, whole or not at all; create the folders above it.

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
    """Raise OSError if no file of some size can be created in a folder, or in the nearest one above it."""
    while not _exists(folder):
        folder = folder.parent
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(_PROBE))  # on a full disk an empty file can still be created
        file.flush()


def _exists(path: Path) -> bool:
    """Return whether a path exists; raise OSError if it never can, as with names that are too long."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True


def _refusal(path: Path, option: str, why: str, what: str = "a file") -> InputError:
    return InputError(f"{option} must name {what} that can be written ({why})", received=printable(str(path)))
