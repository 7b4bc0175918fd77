"""The official layouts, written here by the opcodes and records of the published archives."""

from __future__ import annotations

import zipfile
from functools import partial

import numpy as np
import pytest
from layouts import as_python2_wrote, as_python3_writes, cifar10_files, cifar_pixels, write_folder, write_tar
from tolerances import CLOSED_FORM

from infomcr_cli.config.schema.data import Cifar100Config
from infomcr_cli.data import check_source, download, load_dataset
from infomcr_cli.data.cifar import CIFAR10
from infomcr_cli.errors import InputError

WRITERS = {
    "python2": as_python2_wrote,
    **{f"protocol{n}": partial(as_python3_writes, protocol=n) for n in (2, 3, 4)},
}


def expected_images(seed: int, count: int = 4) -> np.ndarray:
    """Rows are 1,024 red, 1,024 green, 1,024 blue bytes, each row by row."""
    pixels = cifar_pixels(count, seed)
    out = np.empty((count, 32, 32, 3), np.uint8)
    for channel in range(3):
        for row in range(32):
            start = 1024 * channel + 32 * row
            out[:, row, :, channel] = pixels[:, start : start + 32]
    return out


def check_cifar10(dataset) -> None:
    assert np.array_equal(dataset.train.images, np.concatenate([expected_images(n) for n in range(1, 6)]))
    assert np.array_equal(dataset.test.images, expected_images(6))
    labels = [np.random.default_rng(seed).integers(0, 10, 4) for seed in range(1, 7)]
    assert np.array_equal(dataset.train.labels, np.concatenate(labels[:5]))
    assert np.array_equal(dataset.test.labels, labels[5])
    assert dataset.class_names[0] == "airplane"
    assert dataset.class_names[9] == "truck"
    assert dataset.stored_order
    assert (dataset.mean, dataset.std) == ((125.307, 122.95, 113.865), (62.9932, 62.0887, 66.7048))


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("how", ["tar.gz", "folder", "inner folder"])
def test_cifar10_in_python_layout(tmp_path, config, writer, how) -> None:
    files = cifar10_files(WRITERS[writer])
    root = write_tar(tmp_path / "cifar.tar.gz", files) if how == "tar.gz" else write_folder(tmp_path / "out", files)
    root = root / "cifar-10-batches-py" if how == "inner folder" else root
    wanted = config("cifar10", root=str(root))
    check_source(wanted)
    check_cifar10(load_dataset(wanted, seed=0))


def test_cifar10_in_a_zip(tmp_path, config) -> None:
    with zipfile.ZipFile(tmp_path / "cifar.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in cifar10_files(as_python2_wrote).items():
            archive.writestr(name, data)
    check_cifar10(load_dataset(config("cifar10", root=str(tmp_path / "cifar.zip")), seed=0))


def test_batches_are_read_in_the_order_of_their_numbers(tmp_path, config) -> None:
    files = dict(reversed(cifar10_files(as_python2_wrote).items()))
    check_cifar10(load_dataset(config("cifar10", root=str(write_tar(tmp_path / "x.tar", files, "w"))), seed=0))


@pytest.mark.parametrize("change", ["both versions", "missing batch", "two folders", "the same batch twice"])
def test_each_batch_counts_once_or_nothing_is_read(tmp_path, config, change) -> None:
    files = cifar10_files(as_python2_wrote)
    inner = "cifar-10-batches-py/"
    if change == "missing batch":
        del files[f"{inner}data_batch_3"]
    elif change == "two folders":
        files["other/data_batch_3"] = files.pop(f"{inner}data_batch_3")
    elif change == "the same batch twice":
        files[f"{inner}data_batch_3.bin"] = files[f"{inner}data_batch_3"]
    else:
        files |= {f"bin/{name.rpartition('/')[2]}.bin": data for name, data in files.items() if "_batch" in name}
    with pytest.raises(InputError, match=r"each of data_batch_1, .*, test_batch once, in one folder"):
        load_dataset(config("cifar10", root=str(write_folder(tmp_path / "out", files))), seed=0)


def test_a_half_unpacked_folder_of_keras_is_not_used(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(download, "_download", lambda origin, place: None)
    origin, batches = download.ORIGINS["cifar10"], (*CIFAR10.train, *CIFAR10.test)
    unpacked = write_folder(tmp_path / "keras/datasets" / origin.unpacked, dict.fromkeys(batches, b"x"))
    assert download.fetched(origin, tmp_path, batches) == unpacked
    (unpacked / "data_batch_5").unlink()
    assert download.fetched(origin, tmp_path, batches) == tmp_path / "downloads" / origin.file


def test_cifar10_in_binary_layout(tmp_path, config) -> None:
    def records(seed: int) -> bytes:
        labels = np.random.default_rng(seed).integers(0, 10, 4).astype(np.uint8)
        return np.concatenate([labels[:, None], cifar_pixels(4, seed)], axis=1).tobytes()

    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    files = {"batches.meta.txt": "\n".join(names).encode(), "test_batch.bin": records(6)}
    files |= {f"data_batch_{n}.bin": records(n) for n in range(1, 6)}
    files = {f"cifar-10-batches-bin/{name}": data for name, data in files.items()}
    check_cifar10(load_dataset(config("cifar10", root=str(write_tar(tmp_path / "b.tar.gz", files))), seed=0))


def cifar100_files(write) -> dict[str, bytes]:
    def batch(seed: int) -> bytes:
        return write({"fine_labels": [99, 0, 7], "coarse_labels": [19, 4, 1], "data": cifar_pixels(3, seed)})

    fine, coarse = [f"fine{i}" for i in range(100)], [f"coarse{i}" for i in range(20)]
    meta = write({"fine_label_names": fine, "coarse_label_names": coarse})
    return {f"cifar-100-python/{k}": v for k, v in {"meta": meta, "test": batch(2), "train": batch(1)}.items()}


@pytest.mark.parametrize(("labels", "expected", "count"), [("fine", [99, 0, 7], 100), ("coarse", [19, 4, 1], 20)])
@pytest.mark.parametrize("layout", ["python", "binary"])
def test_cifar100_has_fine_and_coarse_labels(tmp_path, config, labels, expected, count, layout) -> None:
    if layout == "python":
        files = cifar100_files(as_python2_wrote)
    else:
        pairs = np.array([[19, 99], [4, 0], [1, 7]], np.uint8)
        data = {n: np.concatenate([pairs, cifar_pixels(3, n)], axis=1).tobytes() for n in (1, 2)}
        names = {
            f"{kind}_label_names.txt": "\n".join(f"{kind}{i}" for i in range(n)).encode()
            for kind, n in (("fine", 100), ("coarse", 20))
        }
        files = {"train.bin": data[1], "test.bin": data[2], **names}
    root = write_tar(tmp_path / "c.tar.gz", files)
    wanted = Cifar100Config(**config("digits").model_dump() | {"name": "cifar100", "root": str(root), "labels": labels})
    check_source(wanted)
    dataset = load_dataset(wanted, seed=0)
    assert dataset.train.labels.tolist() == expected
    assert dataset.class_names == tuple(f"{labels}{i}" for i in range(count))
    assert np.array_equal(dataset.train.images, expected_images(1, 3))
    pixels = dataset.train.images.reshape(-1, 3).astype(float)
    np.testing.assert_allclose(dataset.mean, pixels.mean(0), rtol=CLOSED_FORM)
    np.testing.assert_allclose(dataset.std, pixels.std(0), rtol=CLOSED_FORM)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"test_batch": None}, "each of data_batch_1"),
        ({"data_batch_1": b"not a pickle"}, "pickled dictionary"),
        ({"data_batch_1": as_python2_wrote({"labels": [1], "data": np.zeros((1, 3071), np.uint8)})}, "3072 bytes"),
        ({"data_batch_1": as_python2_wrote({"labels": [10], "data": np.zeros((1, 3072), np.uint8)})}, "labels must be"),
        ({"data_batch_1": as_python2_wrote({"labels": ["1"], "data": np.zeros((1, 3072), np.uint8)})}, "3072 bytes"),
        ({"data_batch_1": as_python2_wrote({"data": np.zeros((1, 3072), np.uint8)})}, "3072 bytes"),
    ],
)
def test_a_wrong_batch_is_refused(tmp_path, config, change, rule) -> None:
    files = cifar10_files(as_python2_wrote)
    for name, data in change.items():
        files.pop(f"cifar-10-batches-py/{name}")
        if data is not None:
            files[f"cifar-10-batches-py/{name}"] = data
    with pytest.raises(InputError, match=rule):
        load_dataset(config("cifar10", root=str(write_tar(tmp_path / "c.tar.gz", files))), seed=0)
