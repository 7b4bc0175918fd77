"""Images that stay in their files; indexing them like an array decodes them."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TypeVar

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.data.files import is_hidden, read_path, unreadable, visible
from infomcr_cli.data.images import converted, is_image_name, opened
from infomcr_cli.data.labels import class_name
from infomcr_cli.errors import InputError

T = TypeVar("T")

MAX_PIXELS = 2**27  # of one file; ImageNet's largest has 2^25
FILES_AT_ONCE = 4096  # files that are handed to the threads together


@dataclass(frozen=True, eq=False)
class StreamedImages:
    """The images of a split as a uint8 array [n, size, size, 3]; indexing decodes, resizes and crops the centre.

    Args:
        root:     the folder that holds the files.
        names:    their names relative to it, as bytes, [n].
        size:     length of a side, pixels.
        resize:   length of the short side before the centre crop, pixels.
        workers:  images decoded at once; 0: one for each core.
        failures: the errors of images that could not be read: TensorFlow raises errors of its own instead of them.
    """

    root: Path
    names: NDArray[np.bytes_]
    size: int
    resize: int
    workers: int
    failures: list[InputError] = field(default_factory=list, repr=False)

    @property
    def decoders(self) -> int:
        """Threads that decode."""
        return self.workers or os.cpu_count() or 1

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """As of an array."""
        return len(self.names), self.size, self.size, 3

    @property
    def ndim(self) -> int:
        """As of an array."""
        return 4

    @property
    def dtype(self) -> np.dtype[np.uint8]:
        """As of an array."""
        return np.dtype(np.uint8)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, chosen: slice | NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the decoded images at a slice or at indices, in that order."""
        names = self.names[chosen]
        if names.ndim != 1:
            raise IndexError("index streamed images with a slice or a vector of indices")
        images = self._in_parallel(self._decode, names)
        return np.stack(images) if images else np.empty((0, *self.shape[1:]), np.uint8)  # [n, size, size, 3]

    def subset(self, indices: NDArray[np.int64]) -> StreamedImages:
        """Return the files at `indices`, none of them decoded."""
        return replace(self, names=self.names[indices])

    def read(self, name: bytes) -> bytes:
        """Return the bytes of a file."""
        return read_path(self.root / os.fsdecode(name))

    def extent(self, data: bytes, name: bytes) -> NDArray[np.int32]:
        """Return width and height of an image from its header, [2]."""
        with opened(io.BytesIO(data), self._shown(name), most=MAX_PIXELS) as image:
            return np.array(image.size, np.int32)

    def decode(self, data: bytes, name: bytes, box: NDArray[np.int32] | None = None) -> NDArray[np.uint8]:
        """Return the part of an image inside `box`, or its centre, resized to [size, size, 3].

        Args:
            box: left, top, right and bottom in pixels, [4].

        Raises:
            InputError: the file is not an accepted image.
        """
        from PIL.Image import Resampling

        with opened(io.BytesIO(data), self._shown(name), most=MAX_PIXELS) as image:
            if box is None:
                # A JPEG may be decoded at a smaller scale, as long as twice the length of `resize` is left.
                image.draft("RGB", (2 * self.resize, 2 * self.resize))
            plain = converted(image)
            window = self._centre(*plain.size) if box is None else tuple(box.tolist())
            return np.asarray(plain.resize((self.size, self.size), Resampling.BILINEAR, box=window), np.uint8)

    def check(self, *, decode: bool) -> None:
        """Raise InputError at the first file that is not an accepted image, by its header or after full decoding."""

        def check(name: bytes) -> None:
            path = self.root / os.fsdecode(name)
            with _open(path) as file, opened(file, str(path), most=MAX_PIXELS) as image:
                if decode:
                    image.load()

        # In parts, because `ThreadPoolExecutor.map` submits everything at once.
        for start in range(0, len(self), FILES_AT_ONCE):
            self._in_parallel(check, self.names[start : start + FILES_AT_ONCE])

    def _decode(self, name: bytes) -> NDArray[np.uint8]:
        return self.decode(self.read(name), name)

    def _in_parallel(self, work: Callable[[bytes], T], names: NDArray[np.bytes_]) -> list[T]:
        with ThreadPoolExecutor(self.decoders) as pool:
            return list(pool.map(work, names))

    def _shown(self, name: bytes) -> str:
        return str(self.root / os.fsdecode(name))

    def _centre(self, width: int, height: int) -> tuple[float, float, float, float]:
        side = min(width, height) * self.size / self.resize
        left, top = (width - side) / 2, (height - side) / 2
        return left, top, left + side, top + side


def _open(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise unreadable(path, error) from error


def class_folders(split: Path) -> dict[str, list[str]]:
    """Return the folders of each class of a split that has an image; two if its name is written in two ways."""
    found: dict[str, list[str]] = {}
    for folder in visible(split):
        if folder.is_dir() and any(True for _ in _images(split / folder.name)):
            found.setdefault(class_name(folder.name), []).append(folder.name)
    return found


def scan(root: Path, split: str, classes: Sequence[str]) -> tuple[list[bytes], list[int]]:
    """Return the names of a split's images relative to `root`, and their labels, sorted by class and name."""
    names: list[bytes] = []
    labels: list[int] = []
    folders = class_folders(root / split)
    for label, name in enumerate(classes):
        for folder in folders.get(name, ()):
            files = sorted(_images(root / split / folder))
            names += [os.fsencode(f"{split}/{folder}/{file}") for file in files]
            labels += [label] * len(files)
    return names, labels


def _images(folder: Path) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if not is_hidden(entry.name) and entry.is_file() and is_image_name(entry.path):
                yield entry.name
