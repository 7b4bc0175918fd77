"""Cache a decoded data set as memory-mapped arrays in the user's cache folder, keyed by its content."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from infomcr_cli.data.dataset import Dataset, Split
from infomcr_cli.data.files import as_path, folder_names
from infomcr_cli.errors import InputError
from infomcr_cli.user_folders import cache_folder_of_user, temporary_folder

FORMAT = 2  # raised when the decoding changes, so that old entries are not found
LEFT_OVER = 24 * 3600.0  # seconds after which a half-written entry is taken for that of a killed process
ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")


def cache_folder(wanted: str | None) -> Path:
    """Return a writable folder: `data.cache`, INFOMCR_CACHE, the user's cache folder, or a temporary one.

    Raises:
        InputError: the folder of `data.cache` cannot be written.
    """
    if wanted is not None:
        folder = as_path(wanted)
        if not _writable(folder):
            raise InputError("data.cache must be a writable folder", received=wanted, advice="Try null.")
        return folder
    candidates = (os.environ.get("INFOMCR_CACHE"), cache_folder_of_user())
    found = next((Path(folder) for folder in candidates if folder and _writable(Path(folder))), None)
    return found or temporary_folder()


def cached(key: str, folder: Path, decode: Callable[[], Dataset]) -> Dataset:
    """Return the cached data set of `key`, memory-mapped; if it is missing or damaged, decode and cache it.

    The entry is written to a temporary folder and renamed, so that any number of processes may start at once.
    """
    place = folder / "decoded" / key
    found = _read(place)
    if found is not None:
        return found
    dataset = decode()
    try:
        _write(dataset, place)
    except OSError:  # a full disk: the decoded images are still in memory
        return dataset
    return _read(place) or dataset


def content_key(root: Path, *settings: str) -> str:
    """Return the hash of a file's bytes, or of the names, sizes and times of a folder's files, and of the settings."""
    digest = hashlib.sha256(repr((FORMAT, settings)).encode())
    if root.is_file():
        with root.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    else:
        for name in folder_names(root):
            stat = (root / name).stat()
            # A file name may be any bytes: those that are not UTF-8 come as surrogates.
            digest.update(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:32]


def remove_left_over(folder: Path, pattern: str) -> None:
    """Remove the temporary folders, of gigabytes each, that killed processes left in a folder.

    Args:
        pattern: matches only the names of this program's temporary folders: the cache may be a folder of the user.
    """
    for path in folder.glob(pattern):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > LEFT_OVER:
                shutil.rmtree(path, ignore_errors=True)


def _write(dataset: Dataset, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    remove_left_over(place.parent, f".{'[0-9a-f]' * len(place.name)}-*")  # of any key
    temporary = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    try:
        parts = (dataset.train.pixels, dataset.train.labels, dataset.test.pixels, dataset.test.labels)
        for name, array in zip(ARRAYS, parts, strict=True):
            np.save(temporary / f"{name}.npy", array, allow_pickle=False)
        names = ("name", "class_names", "mean", "std", "stored_order", "fingerprint")
        about = json.dumps({name: getattr(dataset, name) for name in names})
        (temporary / "about.json").write_text(about, encoding="utf-8")
        # Otherwise, after a loss of power, the renamed folder may have files of zeros.
        for path in temporary.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        _take_place(temporary, place)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _take_place(temporary: Path, place: Path) -> None:
    with suppress(OSError):  # another process was first: its entry is as good
        temporary.rename(place)
        return
    if _read(place) is None:  # a damaged entry is in the way
        shutil.rmtree(place, ignore_errors=True)
        with suppress(OSError):
            temporary.rename(place)


def _read(place: Path) -> Dataset | None:
    try:
        about = json.loads((place / "about.json").read_text(encoding="utf-8"))
        arrays = [np.load(place / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ARRAYS]
        tuples = {name: tuple(about[name]) for name in ("class_names", "mean", "std")}
        dataset = Dataset(**{**about, **tuples}, train=Split(arrays[0], arrays[1]), test=Split(arrays[2], arrays[3]))
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None
    whole = all(len(split.images) == len(split.labels) for split in (dataset.train, dataset.test))
    return dataset if whole else None


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except (OSError, ValueError):
        return False
