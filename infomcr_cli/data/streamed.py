"""Images that stay in their files: an array to look at, decoded only where it is indexed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.errors import InputError

MAX_PIXELS = 2**27  # of one file; ImageNet's largest has 2^25


@dataclass(frozen=True, eq=False)
class StreamedImages:
    """The files of a split, as [n, size, size, 3] of uint8: indexing decodes, resizes and takes the centre.

    Args:
        root:    the folder below which the files stand.
        names:   their names relative to it, as bytes, [n].
        size:    pixels of a side.
        resize:  pixels of the short side before the centre is taken.
        workers: images decoded at once; 0: one for each core.
    """

    root: Path
    names: NDArray[np.bytes_]
    size: int
    resize: int
    workers: int

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
            raise IndexError("streamed images are taken by a slice or a vector of indices")
        with ThreadPoolExecutor(self.decoders) as pool:
            images = list(pool.map(self._decode, names))
        return np.stack(images) if images else np.empty((0, *self.shape[1:]), np.uint8)

    def subset(self, indices: NDArray[np.int64]) -> StreamedImages:
        """Return the files at `indices`, none of them decoded."""
        return replace(self, names=self.names[indices])

    def _decode(self, name: bytes) -> NDArray[np.uint8]:
        from PIL import Image

        path = self.root / os.fsdecode(name)
        try:
            with Image.open(path, formats=("JPEG", "PNG")) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise InputError(f"images must have at most {MAX_PIXELS} pixels", received=str(path))
                image.draft("RGB", (2 * self.resize, 2 * self.resize))  # a JPEG may be decoded at a smaller scale
                return self._centre(image.convert("RGB"))
        except InputError:
            raise
        except Exception as error:  # Pillow lets many kinds through
            raise InputError("images must be JPEG or PNG files that can be decoded", received=str(path)) from error

    def _centre(self, image: object) -> NDArray[np.uint8]:
        from PIL import Image

        assert isinstance(image, Image.Image)
        side = min(image.size) * self.size / self.resize
        left, top = ((length - side) / 2 for length in image.size)
        box = (left, top, left + side, top + side)
        return np.asarray(image.resize((self.size, self.size), Image.Resampling.BILINEAR, box=box), np.uint8)


def scan(root: Path, split: str, classes: Sequence[str], endings: tuple[str, ...]) -> tuple[list[bytes], list[int]]:
    """Return the names of a split's images relative to `root`, and their labels, sorted by class and name."""
    names: list[bytes] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        place = root / split / name
        files = sorted(f for f in os.listdir(place) if f.lower().endswith(endings)) if place.is_dir() else []
        names += [os.fsencode(f"{split}/{name}/{file}") for file in files]
        labels += [label] * len(files)
    return names, labels
