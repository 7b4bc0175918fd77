"""Images in folders of classes, `train/CLASS/*.{jpg,png}` and `test/CLASS/*.{jpg,png}`, on disk or in an archive."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.data.files import Files, Reader, folder_names
from infomcr_cli.data.record import Split
from infomcr_cli.data.selection import stratified_order
from infomcr_cli.errors import InputError

ENDINGS = (".jpg", ".jpeg", ".png")
LAYOUT = "a folder, or an archive, of train/CLASS/*.{jpg,png} and test/CLASS/*.{jpg,png}"
MAX_PIXELS = 2**24  # of one image that is held in memory
MAX_BYTES = 4 * 2**30  # of all of them
GREY, COLOUR = {"1", "L"}, {"P", "RGB", "RGBA", "LA", "CMYK", "YCbCr"}

Place = tuple[str, str, str]  # (train or test, class, name)


def is_image(name: str) -> bool:
    """Return whether a file of this name is an image in the layout."""
    return place_of(name) is not None


def place_of(name: str) -> Place | None:
    """Return where train/CLASS/FILE, which may stand a few folders down, belongs; None for any other name."""
    parts = name.split("/")
    if len(parts) < 3 or not parts[-1].lower().endswith(ENDINGS) or parts[-1].startswith("."):
        return None
    split, label, file = parts[-3:]
    return (split, label, file) if split in ("train", "test") else None


def count_images(root: Path) -> dict[str, dict[str, int]]:
    """Return how many images each class of each split has, from the names alone."""
    counts: dict[str, dict[str, int]] = {"train": {}, "test": {}}
    for place in filter(None, map(place_of, folder_names(root))):
        split, label, _ = place
        counts[split][label] = counts[split].get(label, 0) + 1
    return counts


def check_classes(train: Iterable[str], test: Iterable[str], root: Path) -> None:
    """Raise InputError unless there are at least two classes to learn and all tested ones are among them."""
    known, tested = sorted(set(train)), sorted(set(test))
    if not known or not tested:
        raise InputError(f"data.root must name {LAYOUT}", received=str(root), advice="No image was found in it.")
    if len(known) < 2:
        raise InputError("there must be at least two classes", received=f"{known} in {root}")
    strangers = [name for name in tested if name not in known]
    if strangers:
        raise InputError("every class of test/ must stand in train/", received=strangers[0], accepted=known[:50])


def read_images(files: Files, root: Path) -> tuple[Split, Split, tuple[str, ...]]:
    """Return training split, test split and class names, decoded.

    The training images come in one fixed, stratified permutation (folders have no order of their own); the test
    images sorted by class and name.

    Raises: InputError: an image is damaged or of another size; classes are missing.
    """
    sorted_files = sorted((place, read) for name, read in files.items() if (place := place_of(name)))
    known, tested = ({place[1] for place, _ in sorted_files if place[0] == split} for split in ("train", "test"))
    check_classes(known, tested, root)
    names = sorted(known)
    images = _decode_all(sorted_files)
    labels = np.array([names.index(place[1]) for place, _ in sorted_files], np.int32)
    is_train = np.array([place[0] == "train" for place, _ in sorted_files])
    train, test = (Split(images[part], labels[part]) for part in (is_train, ~is_train))
    return train.take(stratified_order(train.labels, np.random.default_rng(0))), test, tuple(names)


def _decode_all(files: list[tuple[Place, Reader]]) -> NDArray[np.uint8]:
    """Return all images, [n, H, W, C]; grey ones among coloured ones get three equal channels."""
    first = _decode(*files[0])
    if first.size * len(files) > MAX_BYTES:
        raise InputError(
            f"decoded images must fit in {MAX_BYTES} bytes",
            received=f"{len(files)} images of {first.shape}",
            advice="Try data=imagenet, which streams them.",
        )
    images = [first, *(_decode(place, read, first.shape[:2]) for place, read in files[1:])]
    channels = max(image.shape[2] for image in images)
    stack = np.empty((len(images), *first.shape[:2], channels), np.uint8)
    for i, image in enumerate(images):
        stack[i] = image
    return stack


def _decode(place: Place, read: Reader, size: tuple[int, ...] | None = None) -> NDArray[np.uint8]:
    """Return one image, [H, W, 1 or 3]."""
    from PIL import Image

    name = "/".join(place)
    try:
        with Image.open(io.BytesIO(read()), formats=("JPEG", "PNG")) as image:
            _check_image(name, image.size, image.mode, size)
            return np.atleast_3d(np.asarray(image.convert("L" if image.mode in GREY else "RGB"), np.uint8))
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        raise _too_many_pixels(name, str(error)) from error
    except Exception as error:  # Pillow lets many kinds through
        raise InputError("images must be JPEG or PNG files that can be decoded", received=name) from error


def _too_many_pixels(name: str, size: str) -> InputError:
    return InputError(f"images must have at most {MAX_PIXELS} pixels", received=f"{size} in {name}")


def _check_image(name: str, size: tuple[int, int], mode: str, expected: tuple[int, ...] | None) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        raise _too_many_pixels(name, f"{width}x{height}")
    if expected is not None and (height, width) != expected:
        raise InputError(
            f"images must be of one size, here {expected[1]}x{expected[0]}",
            received=f"{width}x{height} in {name}",
            advice="Resize them, or use data=imagenet, which crops.",
        )
    if mode not in GREY | COLOUR:
        raise InputError("images must have 8 bits a channel", received=f"mode {mode} in {name}")
