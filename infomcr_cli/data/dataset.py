"""The data set that every source is loaded into: splits of raw images with integer labels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.data.inputs import Inputs, as_given, is_scalable
from infomcr_cli.data.streamed import StreamedImages
from infomcr_cli.errors import InputError

Pixels = NDArray[np.uint8] | NDArray[np.float32]
Images = Pixels | StreamedImages
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Split:
    """One part of a data set; two splits are equal when they are the same object.

    Args:
        images: raw pixels on the 0..255 scale, uint8 or float32, [n, height, width, channels]; may be memory-mapped,
                or still in their files (`StreamedImages`), which are decoded when they are indexed. A network that was
                trained elsewhere may have other inputs: an array of any shape, or several by name (`Inputs`).
        labels: class indices, int32, [n].
    """

    images: Images
    labels: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def pixels(self) -> Pixels:
        """All images as one array; those still in files are decoded."""
        return self.images[:]

    def take(self, indices: Indices) -> Split:
        """Return the samples at `indices`, in that order."""
        images = self.images
        chosen = images.subset(indices) if isinstance(images, StreamedImages | Inputs) else images[indices]
        return Split(chosen, self.labels[indices])


@dataclass(frozen=True, eq=False)
class Dataset:
    """A training and a test split, with the facts that a network needs.

    Args:
        name:         the word after `data=`.
        class_names:  one name for each class.
        mean, std:    per-channel statistics of standardisation, on the 0..255 scale.
        stored_order: whether the source itself orders the training images. An archive does, a folder does not; the
                      images of a folder are in one fixed, stratified permutation.
        fingerprint:  hash of the pixels and labels, hexadecimal.
        validation:   training images held out by `data.validation_size`.
        noisy:        which training labels `data.label_noise` replaced, [n]; None without noise.
        has_added_axis: whether samples got a last axis of 1; `mean` and `std` are of the axis before it.
    """

    name: str
    train: Split
    test: Split
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    stored_order: bool
    fingerprint: str
    validation: Split | None = None
    noisy: NDArray[np.bool_] | None = None
    has_added_axis: bool = False

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image.

        Raises:
            InputError: the inputs are not images.
        """
        shape = self.train.images.shape
        if isinstance(shape, dict) or len(shape) != 4:
            raise InputError(
                "training with the built-in networks needs images, [n, height, width, channels]",
                received=shape,
                advice=self.several_inputs,
            )
        return int(shape[1]), int(shape[2]), int(shape[3])

    @property
    def several_inputs(self) -> str | None:
        """A sentence that names the inputs if there are several, for errors: one of them may be none."""
        shape: Any = self.train.images.shape
        if not isinstance(shape, dict):
            return None
        return f"The inputs of the data are {', '.join(shape)}: leave out of it what is no input."

    @property
    def input_shape(self) -> Any:
        """Shape of one sample, an image or not; of each input by its name if there are several."""
        shape: Any = self.train.images.shape
        return {name: one[1:] for name, one in shape.items()} if isinstance(shape, dict) else tuple(shape[1:])

    @property
    def num_classes(self) -> int:
        """Number of classes, C."""
        return len(self.class_names)

    def standardise(self, images: Pixels) -> NDArray[np.float32]:
        """Return (images - mean) / std in float32, any leading shape; tokens, and inputs by name, as they are."""
        if not is_scalable(images):
            return as_given(images)
        mean, std = np.asarray(self.mean, np.float32), np.asarray(self.std, np.float32)
        if self.has_added_axis:
            mean, std = mean[..., None], std[..., None]  # [C] → [C, 1]
        return (images.astype(np.float32) - mean) / std


Channels = tuple[float, ...]
BLOCK, BLOCK_NUMBERS = 4096, 2**26  # images, and numbers of float64, that are summed together: half a gigabyte

# Of the CIFAR-10 training images, as the study uses them.
CIFAR10: tuple[Channels, Channels] = ((125.307, 122.95, 113.865), (62.9932, 62.0887, 66.7048))


def whole_dataset(
    name: str,
    parts: tuple[Split, Split, tuple[str, ...]],
    *,
    stored_order: bool,
    scale: tuple[Channels, Channels] | None = None,
) -> Dataset:
    """Return the data set of a source from its training split, test split and class names.

    Args:
        scale: mean and std; None: of all training images.
    """
    train, test, names = parts
    mean, std = scale or channel_statistics(train)
    return Dataset(name, train, test, names, mean, std, stored_order, fingerprint(train, test))


def channel_statistics(train: Split) -> tuple[Channels, Channels]:
    """Return mean and standard deviation of each channel over all training images; std 1 for a constant channel."""
    count = train.pixels[..., 0].size
    mean = sum(block.sum((0, 1, 2)) for block in _blocks(train)) / count  # [C]
    # A second pass: E[x²] - E[x]² would lose digits.
    variance = sum(((block - mean) ** 2).sum((0, 1, 2)) for block in _blocks(train)) / count
    return tuple(mean.tolist()), tuple(np.where(variance > 0, np.sqrt(variance), 1.0).tolist())


def _blocks(split: Split) -> Iterator[NDArray[np.float64]]:
    """Yield the images in float64, a few at a time: as a whole they may be larger than the memory."""
    pixels = split.pixels
    count = max(1, min(BLOCK, BLOCK_NUMBERS // max(1, pixels[0].size)))
    return (pixels[i : i + count].astype(np.float64) for i in range(0, len(pixels), count))


def split_digest(split: Split) -> str:
    """Return the SHA-256 of the samples of one split in their order; of images in files, of their names and labels."""
    images = split.images
    if isinstance(images, StreamedImages):
        arrays: dict[str, NDArray[Any]] = {"names": images.names}
    else:
        arrays = dict(images.arrays) if isinstance(images, Inputs) else {"": images}
    digest = hashlib.sha256(str(images.shape).encode())
    for name, array in (*sorted(arrays.items()), ("labels", split.labels)):
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def fingerprint(*splits: Split) -> str:
    """Return the SHA-256 of the shapes, pixels and labels of all splits."""
    digest = hashlib.sha256()
    for array in (array for split in splits for array in (split.pixels, split.labels)):
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
