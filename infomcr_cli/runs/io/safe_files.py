"""Reading and writing files of a directory that anyone may have made: never through a link, never outside."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import psutil

from infomcr_cli.errors import InputError

MAX_ENTRIES = 200_000
MAX_DEPTH = 4
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def check_tree(root: Path) -> None:
    """Refuse a directory that holds anything but plain files and directories, or absurdly many of them.

    Raises:
        InputError: a link, a pipe, a device or a socket is inside; it is deeper or fuller than any run.
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
        limit:    most bytes that are accepted.

    Raises:
        InputError: outside, a link, no plain file, or larger than limit. FileNotFoundError: it is not there.
    """
    descriptor = _open_inside(root, relative)
    with os.fdopen(descriptor, "rb") as file:
        size = os.fstat(descriptor).st_size
        if size > limit:
            raise InputError(f"{relative} must have at most {limit} bytes", received=f"{size} bytes")
        free = psutil.virtual_memory().available
        if size > free // 2:
            raise InputError(f"{relative} must fit into memory", received=f"{size} bytes, {free} free")
        return file.read(size)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file beside and rename it: whoever reads finds the former content or the new one, whole.

    Raises:
        OSError: the disk is full or refuses; the former file is untouched.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(beside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(folder: Path) -> None:
    """Make renames inside a directory survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _open_inside(root: Path, relative: str) -> int:
    parts = relative.split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise _refusal(root, f"{relative!r} must be a path inside the run directory")
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
