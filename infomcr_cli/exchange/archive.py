"""Read the members of a .keras file, a zip archive, without unpacking it; every size is checked first."""

from __future__ import annotations

import lzma
import shutil
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
MAX_CONFIG = 32 * 2**20  # bytes; the layers of the largest published networks take some hundred thousand
MAX_MEMBERS = 10_000
MAX_RATIO = 100  # a member may unfold to so many times its stored size; Keras stores them as they are
DAMAGED = (  # what zipfile raises at damaged archives, also while a member is read
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    *(OSError, EOFError, RuntimeError, NotImplementedError, ValueError),
)
_FOLDER, _FILE, _UNKNOWN = 4, 8, 0  # the type bits of a Unix mode


@contextmanager
def opened_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a .keras file after checking that its members are regular files inside it, of plausible size.

    Yields:
        the archive, open for reading.

    Raises:
        InputError: it is no such file, or a member is a link, leads outside, stands there twice or is a bomb.
    """
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            _check_members(archive, path)
            yield archive
    except InputError:
        raise
    except DAMAGED as error:
        raise _no_archive(path, f"{printable(str(error))} ({type(error).__name__})") from None


def config_bytes(archive: zipfile.ZipFile, path: Path) -> bytes:
    """Return the description of the network's layers."""
    if CONFIG not in archive.namelist():
        raise _no_archive(path, f"It has no {CONFIG}.")
    with archive.open(CONFIG) as member:
        content = member.read(MAX_CONFIG + 1)  # the size in the archive's directory is only a claim
    if len(content) > MAX_CONFIG:
        raise _refused(path, f"a {CONFIG} of at most {MAX_CONFIG} bytes", "more")
    return content


def copy_weights(archive: zipfile.ZipFile, path: Path, place: Path) -> None:
    """Copy the weights to a private file, so that the checked bytes are the ones that are read.

    Raises:
        InputError: there is none, or it is too large for this machine.
    """
    if WEIGHTS not in archive.namelist():
        advice = "Save it anew with Keras 3: model.save('mine.keras')."
        raise InputError(f"a .keras file must contain {WEIGHTS}", received=str(path), advice=advice)
    size = archive.getinfo(WEIGHTS).file_size
    if size > psutil.virtual_memory().available // 2:
        raise _refused(path, "weights that fit into memory", f"{size} bytes")
    with archive.open(WEIGHTS) as source, place.open("wb") as target:
        shutil.copyfileobj(source, target, 2**20)


def _check_members(archive: zipfile.ZipFile, path: Path) -> None:
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise _refused(path, f"at most {MAX_MEMBERS} files", f"{len(members)}")
    name, times = Counter(member.filename for member in members).most_common(1)[0] if members else ("", 0)
    if times > 1:
        raise _refused(path, "each file once", name)
    for member in members:
        _check_member(member, path)
    stored = sum(member.compress_size for member in members)
    if stored > path.stat().st_size:
        raise _refused(path, "no files that lie over each other", f"{stored} bytes in {path.stat().st_size}")


def _check_member(member: zipfile.ZipInfo, path: Path) -> None:
    parts = member.filename.split("/")
    if member.filename.startswith("/") or ".." in parts or "\\" in member.filename or ":" in parts[0]:
        raise _refused(path, "names that stay inside it", member.filename)
    # The upper 16 bits of the attributes are a Unix mode, of which the upper 4 are the type.
    if member.external_attr >> 28 not in (_UNKNOWN, _FOLDER, _FILE):
        raise _refused(path, "no links and no devices", member.filename)
    if member.flag_bits & 0x1:
        raise _refused(path, "no encrypted files", member.filename)
    if member.file_size > MAX_RATIO * member.compress_size + 2**16:
        received = f"{member.filename}: {member.file_size} bytes in {member.compress_size}"
        raise _refused(path, f"no file that unfolds to more than {MAX_RATIO} times its size", received)


def _refused(path: Path, rule: str, received: str) -> InputError:
    return InputError(f"{printable(path.name)} must have {rule}", received=printable(received, 200))


def _no_archive(path: Path, why: str) -> InputError:
    advice = f"{why} Save the model with Keras 3: model.save('mine.keras')."
    return InputError("a model must be a .keras file that can be read", received=str(path), advice=advice)
