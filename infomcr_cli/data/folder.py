"""Images in folders of classes, `train/CLASS/*.{jpg,png}` and `test/CLASS/*.{jpg,png}`, on disk or in an archive."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.data.dataset import Split
from infomcr_cli.data.files import Files, Reader, folder_names
from infomcr_cli.data.images import converted, is_image_name, opened
from infomcr_cli.data.labels import check_classes, class_name
from infomcr_cli.data.subsets import stratified_order
from infomcr_cli.errors import InputError

LAYOUT = "a folder, or an archive, of train/CLASS/*.{jpg,png} and test/CLASS/*.{jpg,png}"
MAX_PIXELS = 2**24  # of one image that is held in memory
MAX_BYTES = 4 * 2**30  # of all of them

Place = tuple[str, str, str]  # (train or test, class, name)


def is_image(name: str) -> bool:
    """Return whether a file of this name is an image in the layout."""
    return place_of(name) is not None


def place_of(name: str) -> Place | None:
    """Return split and class of a path train/CLASS/FILE, which may be nested in folders; None for other names.

    Raises:
        InputError: it is an image of another kind than JPEG and PNG.
    """
    parts = name.split("/")
    if len(parts) < 3 or parts[-3] not in ("train", "test") or not is_image_name(name):
        return None
    split, label, file = parts[-3:]
    return split, class_name(label), file


def count_images(root: Path) -> dict[str, dict[str, int]]:
    """Return how many images each class of each split has, from the names alone."""
    counts: dict[str, dict[str, int]] = {"train": {}, "test": {}}
    for place in filter(None, map(place_of, folder_names(root))):
        split, label, _ = place
        counts[split][label] = counts[split].get(label, 0) + 1
    return counts


def read_images(files: Files, root: Path) -> tuple[Split, Split, tuple[str, ...]]:
    """Return training split, test split and class names, decoded.

    The training images come in one fixed, stratified permutation (folders have no order of their own); the test
    images sorted by class and name.

    Raises:
        InputError: an image is damaged or of another size; classes are missing.
    """
    places = sorted((place, name) for name in files if (place := place_of(name)))
    known, tested = ({place[1] for place, _ in places if place[0] == split} for split in ("train", "test"))
    check_classes(known, tested, root, layout=LAYOUT)
    names = sorted(known)
    images = _decode_all({name: files[name] for _, name in places})
    labels = np.array([names.index(place[1]) for place, _ in places], np.int32)
    is_train = np.array([place[0] == "train" for place, _ in places])
    train, test = (Split(images[part], labels[part]) for part in (is_train, ~is_train))
    return train.take(stratified_order(train.labels, np.random.default_rng(0))), test, tuple(names)


def _decode_all(files: Files) -> NDArray[np.uint8]:
    """Return all images, [n, H, W, C]; if some are coloured, grey ones get three equal channels."""
    (name, read), *others = files.items()
    first = _decode(name, read)
    _check_bytes((len(files), *first.shape))
    images = [first, *(_decode(name, read, first.shape[:2]) for name, read in others)]
    channels = max(image.shape[2] for image in images)
    _check_bytes((len(images), *first.shape[:2], channels))
    stack = np.empty((len(images), *first.shape[:2], channels), np.uint8)  # [n, H, W, C]
    for i, image in enumerate(images):
        stack[i] = image  # [H, W, 1] is repeated along the channels
    return stack


def _check_bytes(shape: tuple[int, ...]) -> None:
    if math.prod(shape) > MAX_BYTES:
        raise InputError(
            f"decoded images must fit in {MAX_BYTES} bytes",
            received=f"{shape[0]} images of {shape[1:]}",
            advice="Try data=imagenet, which streams them.",
        )


def _decode(name: str, read: Reader, size: tuple[int, ...] | None = None) -> NDArray[np.uint8]:
    """Return one image, [H, W, 1 or 3]."""
    with opened(io.BytesIO(read()), name, most=MAX_PIXELS) as image:
        if size is not None and (image.height, image.width) != size:
            raise InputError(
                f"all images must have the same size, here {size[1]}x{size[0]}",
                received=f"{image.width}x{image.height} in {name}",
                advice="Resize them, or use data=imagenet, which crops.",
            )
        return np.atleast_3d(np.asarray(converted(image, keep_grey=True), np.uint8))
