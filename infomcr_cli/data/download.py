"""Download the official binary CIFAR archives from their authors' site, with Keras's downloader."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from infomcr_cli.data.cache import remove_left_over
from infomcr_cli.errors import InputError


@dataclass(frozen=True)
class Origin:
    """A file to download.

    Args:
        url:      where it is published.
        sha256:   its checksum, hexadecimal.
        unpacked: folder, among the data sets of Keras, where `keras.datasets` leaves it unpacked.
    """

    url: str
    sha256: str
    unpacked: str

    @property
    def file(self) -> str:
        """Name of the file."""
        return self.url.rsplit("/", 1)[-1]


_SITE = "https://www.cs.toronto.edu/~kriz"
ORIGINS = {
    "cifar10": Origin(
        f"{_SITE}/cifar-10-binary.tar.gz",
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        "cifar-10-batches-py-target/cifar-10-batches-py",
    ),
    "cifar100": Origin(
        f"{_SITE}/cifar-100-binary.tar.gz",
        "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
        "cifar-100-python-target/cifar-100-python",
    ),
}


def fetched(origin: Origin, folder: Path, batches: Collection[str]) -> Path:
    """Return the archive in `folder`, or what `keras.datasets` unpacked earlier; otherwise download it.

    Args:
        batches: the files that the unpacked folder must have; a folder without one of them is not used.

    Raises:
        InputError: it cannot be downloaded, or is not what its checksum says.
    """
    place = folder / "downloads" / origin.file
    if place.is_file() and _sha256(place) == origin.sha256:
        return place
    unpacked = _keras_datasets() / origin.unpacked
    if all((unpacked / name).is_file() for name in batches):
        return unpacked
    _download(origin, place)
    return place


def _download(origin: Origin, place: Path) -> None:
    """Download to a temporary file and rename it, so that several processes may do it at once."""
    import keras

    place.parent.mkdir(parents=True, exist_ok=True)
    remove_left_over(place.parent, ".fetch-*")
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=place.parent) as temporary:
        try:
            with contextlib.redirect_stdout(sys.stderr):  # where Keras draws its progress
                got = keras.utils.get_file(origin.file, origin.url, file_hash=origin.sha256, cache_subdir=temporary)
        except Exception as error:  # Keras raises bare Exception and ValueError
            raise InputError(
                "the archive could not be downloaded",
                received=origin.url,
                advice=f"Download it elsewhere and try data.root=PATH/{origin.file}. ({str(error)!r})",
            ) from error
        os.replace(got, place)


def _keras_datasets() -> Path:
    home = os.environ.get("KERAS_HOME")
    return Path(home or os.path.expanduser("~/.keras")) / "datasets"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
