"""A small source of images for every `data`, written in the layout that it reads: 48 to train on, some to test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.data.layouts import as_python2_wrote, cifar10_files, cifar_pixels, image_files, write_folder, write_tar


def cifar10(folder: Path) -> list[str]:
    return [f"data.root={write_tar(folder / 'c10.tar.gz', cifar10_files(as_python2_wrote, per_batch=24))}"]


def cifar100(folder: Path) -> list[str]:
    fine = [i % 100 for i in range(48)]
    batch = {"fine_labels": fine, "coarse_labels": [i % 20 for i in fine], "data": cifar_pixels(48, 1)}
    names = {f"{kind}_label_names": [f"{kind}{i}" for i in range(n)] for kind, n in (("fine", 100), ("coarse", 20))}
    files: dict[str, dict[str, Any]] = {"meta": names, "test": batch, "train": batch}
    packed = {f"cifar-100-python/{name}": as_python2_wrote(file) for name, file in files.items()}
    return [f"data.root={write_tar(folder / 'c100.tar.gz', packed)}", "data.labels=coarse"]


def image_folder(folder: Path) -> list[str]:
    return [f"data.root={write_folder(folder / 'images', image_files(24, 4, (8, 8, 3)))}"]


def imagenet(folder: Path) -> list[str]:
    files = {name.replace("test/", "val/"): data for name, data in image_files(24, 4, (20, 16, 3)).items()}
    return [f"data.root={write_folder(folder / 'classes', files)}", "data.image_size=8", "data.resize=10"]


def npz(folder: Path) -> list[str]:
    pixels = np.random.default_rng(0).integers(0, 256, (96, 8, 8, 3), np.uint8)
    labels = np.arange(48) % 4
    np.savez(
        folder / "a.npz", train_images=pixels[:48], train_labels=labels, test_images=pixels[48:], test_labels=labels
    )
    return [f"data.root={folder / 'a.npz'}"]


def builder(folder: Path) -> list[str]:
    """A module that gives the arrays of `npz`, in the working folder, where modules of users are found."""
    npz(folder)
    Path("small_builder.py").write_text(
        f"""import numpy as np
def arrays():
    with np.load({str(folder / "a.npz")!r}) as file:
        return tuple((file[split + "_images"], file[split + "_labels"]) for split in ("train", "test"))
"""
    )
    return ["data.builder=small_builder:arrays"]


WRITERS: dict[str, Callable[[Path], list[str]]] = {
    "builder": builder,
    "cifar10": cifar10,
    "cifar100": cifar100,
    "digits": lambda folder: [],
    "image_folder": image_folder,
    "imagenet": imagenet,
    "npz": npz,
}
