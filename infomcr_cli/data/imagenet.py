"""ImageNet, or any folders of classes too large for memory: train/CLASS/*.jpg and val/CLASS/*.jpg."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np

from infomcr_cli.config.data_schema import ImagenetConfig
from infomcr_cli.data.files import source_path
from infomcr_cli.data.folder import ENDINGS, check_classes
from infomcr_cli.data.record import Dataset, Split
from infomcr_cli.data.selection import stratified_order
from infomcr_cli.data.streamed import StreamedImages, scan
from infomcr_cli.errors import InputError

LAYOUT = "a folder of train/CLASS/*.{jpg,png} and val/CLASS/*.{jpg,png}"
# Of ImageNet's training images, as published with the reference networks of torchvision and used since.
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def check_imagenet(config: ImagenetConfig) -> None:
    """Raise InputError where the folder has not the layout; looks at the names of classes only."""
    root = source_path(config.root, needed=LAYOUT)
    if config.resize < config.image_size:
        raise InputError(
            "data.resize must be at least data.image_size",
            received=f"resize={config.resize}, image_size={config.image_size}",
            advice=f"Try data.resize={round(config.image_size * 8 / 7)}.",
        )
    check_classes(_classes(root / "train"), _classes(root / _tested(root)), root)


def load_imagenet(config: ImagenetConfig) -> Dataset:
    """Return the data set with its images in their files.

    Folders have no order, so the training images stand in one fixed, stratified permutation. Standardisation uses
    ImageNet's published statistics; the fingerprint is of names and labels, as the pixels are not read.
    """
    root = source_path(config.root, needed=LAYOUT)
    check_imagenet(config)
    classes = _classes(root / "train")
    train, test = (_split(config, root, name, classes) for name in ("train", _tested(root)))
    train = train.take(stratified_order(train.labels, np.random.default_rng(0)))
    return Dataset(config.name, train, test, tuple(classes), MEAN, STD, False, _fingerprint(config, train, test))


def _tested(root: Path) -> str:
    return "val" if (root / "val").is_dir() else "test"


def _classes(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise InputError(
            f"data.root must name {LAYOUT}", received=str(folder.parent), advice=f"No {folder.name}/ in it."
        )
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())


def _split(config: ImagenetConfig, root: Path, name: str, classes: list[str]) -> Split:
    names, labels = scan(root, name, classes, ENDINGS)
    if not names:
        raise InputError(f"data.root must name {LAYOUT}", received=str(root), advice=f"No image in {name}/.")
    images = StreamedImages(root, np.array(names, np.bytes_), config.image_size, config.resize, config.workers)
    return Split(images, np.array(labels, np.int32))


def _fingerprint(config: ImagenetConfig, *splits: Split) -> str:
    digest = hashlib.sha256(f"{config.image_size} {config.resize}".encode())
    for split in splits:
        assert isinstance(split.images, StreamedImages)
        digest.update(split.images.names.tobytes())
        digest.update(split.labels.tobytes())
    return digest.hexdigest()
