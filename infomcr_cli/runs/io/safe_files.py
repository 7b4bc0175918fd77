"""Read and write files of a directory that anyone may have made: never through a link, never outside of it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

import psutil

from infomcr_cli.errors import InputError

MAX_ENTRIES = 200_000
MAX_DEPTH = 4
# O_NONBLOCK: the open of a pipe would otherwise wait for a writer; it is refused as soon as it is open.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def check_tree(root: Path) -> None:
    """Refuse a directory that holds anything but plain files and directories, or far too many of them.

    Raises:
        InputError: a link, a pipe, a device or a socket is inside, or it is deeper or larger than any run.
    """
    pending, entries = [(root, 0)], 0
    while pending:
        folder, depth = pending.pop()
        with os.scandir(folder) as inside:
            for entry in inside:
                entries += 1
                if entry.is_dir(follow_symlinks=False):
                    pending.append((Path(entry.path), depth + 1))
                elif not entry.is_file(follow_symlinks=False):
                    raise _refusal(Path(entry.path), "a run directory holds plain files and directories only")
        if depth > MAX_DEPTH or entries > MAX_ENTRIES:
            raise _refusal(folder, f"a run directory is at most {MAX_DEPTH} deep and holds at most {MAX_ENTRIES} files")


def read_file(root: Path, relative: str, limit: int) -> bytes:
    """Return the content of a plain file inside `root`, opened component by component without following links.

    Args:
        relative: path inside root, with forward slashes.
        limit:    largest size that is accepted, bytes.

    Raises:
        InputError: the file is outside, a link, not a plain file, or too large.
        FileNotFoundError: there is no such file.
    """
    descriptor = _open_inside(root, relative)
    with os.fdopen(descriptor, "rb") as file:
        size = os.fstat(descriptor).st_size
        if size > limit:
            raise InputError(f"{relative} must have at most {limit} bytes", received=f"{size} bytes")
        free = psutil.virtual_memory().available
        if size > free // 2:
            raise InputError(f"{relative} must fit into memory", received=f"{size} bytes, {free} free")
        return file.read(size)  # not more than was checked, if the file grows meanwhile


def open_without_links(path: Path) -> BinaryIO:
    """Open a file of a run for reading; a link under its name is refused, and a pipe is not waited for.

    Raises:
        OSError: there is no such file, or it is a link or a folder.
    """
    descriptor = os.open(path, _READ)
    try:
        return os.fdopen(descriptor, "rb")
    except OSError:  # a folder: `fdopen` leaves its descriptor open
        os.close(descriptor)
        raise


def write_atomically(path: Path, content: bytes) -> None:
    """Write a temporary file and rename it, so that a reader finds either the former content or the new one, whole.

    Raises:
        OSError: the disk is full or cannot be written; the former file is untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # otherwise, after a loss of power, the renamed file may be empty
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(folder: Path) -> None:
    """Write the entries of a directory to the disk, so that renames inside it survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _open_inside(root: Path, relative: str) -> int:
    """Return a descriptor of a plain file; each folder on the way is opened relative to the one before."""
    parts = relative.split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise _refusal(root, f"{relative!r} must be a path inside the run directory")
    # O_NOFOLLOW refuses a link only in the last component of a path, so the components are opened one by one.
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            inner = os.open(part, _READ | os.O_DIRECTORY, dir_fd=folder)
            os.close(folder)
            folder = inner
        descriptor = os.open(parts[-1], _READ, dir_fd=folder)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _refusal(
            root / relative, f"it must be a plain file inside the run directory ({error.strerror})"
        ) from None
    finally:
        os.close(folder)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise _refusal(root / relative, "a file of a run must be a plain file")


def _refusal(path: Path, rule: str) -> InputError:
    return InputError(rule, received=str(path), advice="Copy the run without it, or leave this directory alone.")
