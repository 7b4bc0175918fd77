"""Read the files of a folder or an archive by name, without unpacking the archive."""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PureWindowsPath
from tokenize import TokenError
from typing import IO, Any, Self

from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError, nearest_name

Reader = Callable[[], bytes]
Files = dict[str, Reader]

FIRST = 20  # names that show what kind of archive it is
DEPTH = 4  # folders below the root that are looked into
MAX_MEMBER = 256 * 2**20  # bytes of one file; the largest official one has 155 MB
MAX_HELD = 4 * 2**30  # bytes of all files that are kept in memory
MAX_SWEPT = 64 * 2**30  # bytes that an archive may unfold to, wanted or not
MAX_MEMBERS = 2_000_000
MAX_HEADER = 2**20  # bytes of a long name, or of other headers of a file in a tar archive
MAX_NAME = 4096  # letters of a name with its folders
SYSTEM_FILES = {"__macosx", "thumbs.db", "desktop.ini"}  # made by macOS and Windows, not by the user
DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    OSError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    RuntimeError,
    ValueError,
    SyntaxError,  # this and TokenError are raised for a damaged header of NumPy
    TokenError,
)


def source_path(root: str | None, *, needed: str) -> Path:
    """Return `data.root` as a path that exists.

    Args:
        needed: what should stand there, for the message.

    Raises:
        InputError: it is null, missing or empty.
    """
    if root is None:
        raise InputError(f"data.root must name {needed}", received=root, advice="Try data.root=PATH.")
    path = as_path(root)
    if not (path.is_file() or path.is_dir()):
        raise InputError(f"data.root must name {needed}, and exist", received=root, advice=_neighbour(path))
    if path.is_dir() and not any(path.iterdir()):
        raise InputError(f"data.root must name {needed}; the folder is empty", received=root, advice=_fill(needed))
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"data.root must name {needed}; the file is empty", received=root, advice=_fill(needed))
    return path


def as_path(name: str) -> Path:
    """Return the user's path with ~ expanded; raise InputError if it is not a valid path."""
    try:
        return Path(os.path.realpath(os.path.expanduser(name)))
    except ValueError as error:
        raise InputError("not a valid path", received=name) from error


def _fill(needed: str) -> str:
    return f"Put {needed} there, or name another place."


def _neighbour(path: Path) -> str:
    try:
        near = nearest_name(path.name, sorted(entry.name for entry in path.parent.iterdir())[:10_000])
    except OSError:
        near = None
    return f"Did you mean {str(path.parent / near)!r}?" if near else "Check the path."


def read_files(root: Path, wanted: Callable[[str], bool]) -> Files:
    """Return a reader for each wanted file of a folder or an archive, by its name relative to `root`.

    Hidden files and folders are skipped: `wanted` is not called for them.

    Raises:
        InputError: the archive is damaged, has links, devices or names that lead out of it, or is absurdly large.
    """
    if root.is_dir():
        return {name: partial(read_path, root / name) for name in folder_names(root) if wanted(name)}
    files: Files = {}
    held = 0
    for name, size, read in _members(root):
        if wanted(name):
            held += size
            _bound(root, "a file in the archive", size, MAX_MEMBER)
            _bound(root, "what is read of the archive", held, MAX_HELD)
            files[name] = partial(bytes, _guarded(root, read))
    return files


def first_names(root: Path, count: int = FIRST) -> list[str]:
    """Return some visible names of a folder or an archive; of an archive only the beginning is read."""
    source = folder_names(root) if root.is_dir() else (name for name, _, _ in _members(root))
    return [name for name, _ in zip(source, range(count), strict=False)]


def folder_names(root: Path, depth: int = DEPTH) -> Iterator[str]:
    """Yield the names of all visible files below `root`, sorted within each folder, not below `depth` folders."""
    for entry in visible(root):
        if entry.is_file():
            yield entry.name
        elif entry.is_dir() and depth > 0:
            yield from (f"{entry.name}/{name}" for name in folder_names(root / entry.name, depth - 1))


def visible(folder: Path) -> list[os.DirEntry[str]]:
    """Return the entries of a folder that are not hidden, sorted by name."""
    with os.scandir(folder) as entries:
        return sorted((entry for entry in entries if not is_hidden(entry.name)), key=lambda entry: entry.name)


def is_hidden(name: str) -> bool:
    """Return whether a file, or a folder on the way to it, is hidden: `.ipynb_checkpoints`, `._x.jpg`, `__MACOSX/`."""
    return any(part.startswith(".") or part.lower() in SYSTEM_FILES for part in name.split("/"))


def read_path(path: Path) -> bytes:
    """Return the bytes of a file.

    Raises:
        InputError: it is absurdly large, or the system refuses it.
    """
    try:
        _bound(path, "a file", path.stat().st_size, MAX_MEMBER)
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> InputError:
    """Return the error for a file or folder that cannot be read."""
    return InputError("data must be readable", received=str(path), advice=f"{error.strerror or repr(error)}.")


def _members(root: Path) -> Iterator[tuple[str, int, Reader]]:
    """Yield name, size and reader of each regular file of an archive that is not hidden, in its order."""
    try:
        with root.open("rb") as file:
            is_zip = zipfile.is_zipfile(file)
            file.seek(0)
            members = _bounded(root, _zip_members(root, file) if is_zip else _tar_members(root, file))
            yield from (member for member in members if not is_hidden(member[0]))
    except InputError:
        raise
    except DAMAGED as error:
        raise damaged(root, error) from error


def _bounded(root: Path, members: Iterator[tuple[str, int, Reader]]) -> Iterator[tuple[str, int, Reader]]:
    swept = 0
    for count, (name, size, read) in enumerate(members):
        swept += size
        _bound(root, "what the archive unfolds to", swept, MAX_SWEPT)
        if count >= MAX_MEMBERS:
            raise InputError(f"an archive must have at most {MAX_MEMBERS} files", received=str(root))
        yield name, size, read


def _tar_members(root: Path, file: IO[bytes]) -> Iterator[tuple[str, int, Reader]]:
    # A stream ("r|") is read once from front to back and keeps no index of what it passed.
    with _unpacked(file) as plain, tarfile.open(fileobj=plain, mode="r|", tarinfo=_BoundedInfo) as archive:
        for member in archive:
            if not (member.isfile() or member.isdir()):
                raise _no_link(root, member.name)
            name = _safe_name(root, member.name)
            if member.isfile():
                yield name, member.size, partial(_read_tar, archive, member)
        # The checksum follows the last member: it is verified only if the stream is read to its end.
        swept = 0
        while block := plain.read(2**20):
            swept += len(block)
            _bound(root, "what follows the last file of the archive", swept, MAX_MEMBER)


class _BoundedInfo(tarfile.TarInfo):
    """A header that is refused before tarfile reads what belongs to it, all of it, into memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Return a header from its block.

        Raises:
            InputError: it announces a name or headers that are absurdly long, or a sparse file.
        """
        member = super().frombuf(buf, encoding, errors)
        if member.type in _HEADERS and member.size > MAX_HEADER:
            raise InputError(f"a name in an archive must have at most {MAX_HEADER} bytes", received=member.size)
        if member.type == tarfile.GNUTYPE_SPARSE:
            member._refuse_sparse()
        return member

    def _refuse_sparse(self, *_: object) -> None:
        """Refuse a sparse file: tarfile builds the whole map of such a file in memory, whatever its size."""
        raise InputError("an archive must contain no sparse files", received=printable(self.name, 200))

    # What tarfile calls for the three ways in which pax headers announce a sparse file.
    _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse_sparse


_HEADERS = (
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
)


def _unpacked(file: IO[bytes]) -> IO[bytes]:
    """Return the decompressed stream; unlike tarfile's own readers, these verify the checksum."""
    head = file.read(6)
    file.seek(0)
    return next((reader(file) for magic, reader in _READERS.items() if head.startswith(magic)), file)


_READERS: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
}


def _read_tar(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(member)
    return stream.read(member.size) if stream else b""


def _zip_members(root: Path, file: IO[bytes]) -> Iterator[tuple[str, int, Reader]]:
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            kind = member.external_attr >> 28  # the type bits of a Unix mode: 8 a file, 4 a folder, 0 unknown
            if kind not in (0, 4, 8):
                raise _no_link(root, member.filename)
            # Some programs on Windows separate folders by backslashes; if there are slashes, one is part of a name.
            written = member.filename if "/" in member.filename else member.filename.replace("\\", "/")
            name = _safe_name(root, written)
            if not written.endswith("/"):
                yield name, member.file_size, partial(archive.read, member)


def _guarded(root: Path, read: Reader) -> bytes:
    try:
        return read()
    except DAMAGED as error:
        raise damaged(root, error) from error


def _safe_name(root: Path, name: str) -> str:
    # `tarfile.data_filter` is made for unpacking: it accepts links and reads the disk.
    parts = name.split("/")
    if name.startswith("/") or PureWindowsPath(name).drive or ".." in parts or "\\" in name or "\0" in name:
        raise InputError("names in an archive must stay inside it", received=f"{printable(name, 200)} in {root}")
    if len(name) > MAX_NAME:
        rule = f"names in an archive must have at most {MAX_NAME} letters"
        raise InputError(rule, received=f"{printable(name, 80)} in {root}")
    return "/".join(part for part in parts if part not in ("", "."))


def _no_link(root: Path, name: str) -> InputError:
    return InputError("an archive must contain no links and no devices", received=f"{printable(name, 200)} in {root}")


def _bound(root: Path, what: str, size: int, most: int) -> None:
    if size > most:
        raise InputError(f"{what} must have at most {most} bytes", received=f"{size} bytes in {root}")


def damaged(root: Path, error: Exception, needed: str = "a tar or zip archive") -> InputError:
    """Return the error for an archive that cannot be read."""
    if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # a seek to nowhere is damage
        return unreadable(root, error)
    return InputError(
        f"data.root must name {needed} that can be read",
        received=str(root),
        advice=f"It cannot be read: {printable(str(error))!r} ({type(error).__name__}). Download it again.",
    )
