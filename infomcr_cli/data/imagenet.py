"""Load ImageNet, or any class folders that are too large for memory: train/CLASS/*.jpg and val/CLASS/*.jpg."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

import numpy as np

from infomcr_cli.config.schema.data import ImagenetConfig
from infomcr_cli.data.cache import cache_folder, content_key
from infomcr_cli.data.dataset import Dataset, Split
from infomcr_cli.data.files import source_path
from infomcr_cli.data.labels import check_classes
from infomcr_cli.data.streamed import StreamedImages, class_folders, scan
from infomcr_cli.data.subsets import stratified_order
from infomcr_cli.errors import InputError

LAYOUT = "a folder of train/CLASS/*.{jpg,png} and val/CLASS/*.{jpg,png}"
FEW = 2**13  # files that are decoded once before training: about half a minute of one core
# Of ImageNet's training images, as published with the reference networks of torchvision and used since.
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def check_imagenet(config: ImagenetConfig) -> None:
    """Raise InputError if the folder does not have the layout; checks only names, one image per class."""
    root = source_path(config.root, needed=LAYOUT)
    if config.resize < config.image_size:
        raise InputError(
            "data.resize must be at least data.image_size",
            received=f"resize={config.resize}, image_size={config.image_size}",
            advice=f"Try data.resize={round(config.image_size * 8 / 7)}.",
        )
    tested = _tested(root)
    folders = []
    for name in ("train", tested):
        if not (root / name).is_dir():
            raise InputError(f"data.root must name {LAYOUT}", received=str(root), advice=f"It has no folder {name}/.")
        folders.append(class_folders(root / name))
    check_classes(folders[0], folders[1], root, layout=LAYOUT, splits=("train/", f"{tested}/"))


def load_imagenet(config: ImagenetConfig) -> Dataset:
    """Return the data set with its images left in their files, after checking every file.

    Folders have no order, so the training images are in one fixed, stratified permutation. Standardisation uses
    ImageNet's published statistics. The fingerprint is that of names and labels, because the pixels are not read.

    Raises:
        InputError: the folder does not have the layout, or a file in it is not an accepted image.
    """
    train, test, classes = list_imagenet(config)
    _check_files(config, train, test)
    train = train.take(stratified_order(train.labels, np.random.default_rng(0)))
    return Dataset(config.name, train, test, tuple(classes), MEAN, STD, False, _fingerprint(config, train, test))


def list_imagenet(config: ImagenetConfig) -> tuple[Split, Split, list[str]]:
    """Return the lists of training and test images, and the class names, without opening a file.

    Raises:
        InputError: the folder does not have the layout.
    """
    root = source_path(config.root, needed=LAYOUT)
    check_imagenet(config)
    classes = sorted(class_folders(root / "train"))
    train, test = (_split(config, root, name, classes) for name in ("train", _tested(root)))
    return train, test, classes


def _tested(root: Path) -> str:
    return "test" if (root / "test").is_dir() and not (root / "val").is_dir() else "val"


def _split(config: ImagenetConfig, root: Path, name: str, classes: list[str]) -> Split:
    names, labels = scan(root, name, classes)
    images = StreamedImages(root, np.array(names, np.bytes_), config.image_size, config.resize, config.workers)
    return Split(images, np.array(labels, np.int32))


def _check_files(config: ImagenetConfig, *splits: Split) -> None:
    """Raise InputError at the first file that cannot be used.

    Up to FEW files are decoded. Of more files, which would take minutes, only the headers are read; a file that is cut
    short then ends training when its batch is made, with an error that names it. Files that were accepted are not
    checked again until they change.
    """
    key = content_key(source_path(config.root, needed=LAYOUT), config.name, "checked")
    place = cache_folder(config.cache) / "checked" / key
    if place.is_file():
        return
    decode = sum(map(len, splits)) <= FEW
    for split in splits:
        assert isinstance(split.images, StreamedImages)
        split.images.check(decode=decode)
    with suppress(OSError):  # a full disk: the files are checked again next time
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()


def _fingerprint(config: ImagenetConfig, *splits: Split) -> str:
    digest = hashlib.sha256(f"{config.image_size} {config.resize}".encode())
    for split in splits:
        assert isinstance(split.images, StreamedImages)
        digest.update(split.images.names.tobytes())
        digest.update(split.labels.tobytes())
    return digest.hexdigest()
