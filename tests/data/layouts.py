"""Small files in the layouts that the sources read, data sets made up, and the settings to read them with."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from infomcr_cli.config.schema.data import AugmentConfig, DataConfig
from infomcr_cli.data.dataset import Dataset, Split

REAL_IMAGES = Path(
    os.environ.get("INFOMCR_TEST_IMAGES")
    or Path(__file__).resolve().parents[3] / "shared" / "data" / "cifar10-images.tar.xz"
)


def data_config(name: str = "digits", **settings: Any) -> DataConfig:
    blank = dict.fromkeys(("root", "cache", "train_size", "test_size", "validation_size"))
    return DataConfig(**{"name": name, "batch_size": 2, "label_noise": 0.0, "seed": 0, **blank, **settings})


def augment_config(name: str = "standard", **settings: Any) -> AugmentConfig:
    return AugmentConfig(**{"name": name, "flip": True, "padding": 4, "cutout": 0, "mixup": 0.0, **settings})


def make_dataset(count: int = 23, shape: tuple[int, int, int] = (7, 9, 3), dtype: str = "uint8") -> Dataset:
    rng = np.random.default_rng(5)

    def split(n: int) -> Split:
        pixels = rng.integers(0, 256, (n, *shape)).astype(dtype)
        return Split(pixels, rng.integers(0, 3, n).astype(np.int32))

    mean, std = (tuple(rng.uniform(50, 120, shape[2]).tolist()) for _ in range(2))
    return Dataset("made", split(count), split(11), ("a", "b", "c"), mean, std, True, "0")


def cifar_pixels(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8)


def as_python2_wrote(batch: Mapping[str, Any]) -> bytes:
    """Pickle a batch with the very opcodes of the official archives, which Python 2 wrote by protocol 2."""

    def text(value: bytes) -> bytes:
        return (
            b"U" + bytes([len(value)]) + value if len(value) < 256 else b"T" + len(value).to_bytes(4, "little") + value
        )

    def number(value: int) -> bytes:
        return b"K" + bytes([value]) if value < 256 else b"M" + value.to_bytes(2, "little")

    def array(value: np.ndarray) -> bytes:
        shape = b"".join(number(n) for n in value.shape) + b"\x86"
        dtype = (
            b"cnumpy\ndtype\nq\x05U\x02u1K\x00K\x01\x87Rq\x06(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        )
        made = b"cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85U\x01b\x87Rq\x04"
        return made + b"(K\x01" + shape + dtype + b"\x89" + text(value.tobytes()) + b"tb"

    def any_value(value: Any) -> bytes:
        if isinstance(value, np.ndarray):
            return array(value)
        if isinstance(value, list):
            items = b"".join(any_value(item) for item in value)
            return b"]q\x07(" + items + b"e" if value else b"]"
        return number(value) if isinstance(value, int) else text(value.encode())

    items = b"".join(text(key.encode()) + any_value(value) for key, value in batch.items())
    return b"\x80\x02}q\x01(" + items + b"u."


def as_python3_writes(batch: Mapping[str, Any], protocol: int = 2) -> bytes:
    return pickle.dumps({key.encode(): value for key, value in batch.items()}, protocol=protocol)


def cifar10_files(write: Callable[[Mapping[str, Any]], bytes], per_batch: int = 4) -> dict[str, bytes]:
    """The five training batches and the test batch, with names and file names as published."""

    def batch(seed: int, about: str) -> bytes:
        labels = [int(n) for n in np.random.default_rng(seed).integers(0, 10, per_batch)]
        names = [f"img_s_{i:06d}.png" for i in range(per_batch)]
        return write(
            {"batch_label": about, "labels": labels, "data": cifar_pixels(per_batch, seed), "filenames": names}
        )

    words = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    meta = write({"num_cases_per_batch": per_batch, "label_names": words, "num_vis": 3072})
    folder = "cifar-10-batches-py/"
    return {
        f"{folder}batches.meta": meta,
        **{f"{folder}data_batch_{n}": batch(n, f"training batch {n} of 5") for n in range(1, 6)},
        f"{folder}readme.html": b"<html></html>",
        f"{folder}test_batch": batch(6, "testing batch 1 of 1"),
    }


def write_tar(path: Path, files: Mapping[str, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def write_folder(path: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def png(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def image_files(train: int = 4, test: int = 2, shape: tuple[int, ...] = (6, 5, 3)) -> dict[str, bytes]:
    rng = np.random.default_rng(9)
    counts = {"train": train, "test": test}
    return {
        f"{split}/{name}/{i:03d}.png": png(rng.integers(0, 256, shape, dtype=np.uint8))
        for split in counts
        for name in ("ant", "bee")
        for i in range(counts[split])
    }
