from __future__ import annotations

import io
import os
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import pytest
from layouts import REAL_IMAGES, as_python2_wrote, cifar10_files, image_files, write_folder, write_tar
from test_streaming import imagenet_config

from infomcr_cli.data import Split, cache, check_source, load_dataset
from infomcr_cli.data.dataset import CIFAR10, channel_statistics
from infomcr_cli.data.download import ORIGINS, Origin, fetched
from infomcr_cli.errors import InputError

BATCHES = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]


def test_digits_are_divided_once_and_scaled_to_bytes(config) -> None:
    from sklearn.datasets import load_digits

    dataset = load_dataset(config(), seed=0)
    assert (len(dataset.train), len(dataset.test), dataset.image_shape) == (1437, 360, (8, 8, 1))
    assert (dataset.train.images.min(), dataset.train.images.max()) == (0, 255)
    together = np.concatenate([dataset.train.images, dataset.test.images])[..., 0] / 255 * 16
    source = load_digits().images
    assert sorted(map(bytes, np.round(together).astype(np.uint8))) == sorted(map(bytes, source.astype(np.uint8)))
    share = np.bincount(dataset.train.labels) / 1437 - np.bincount(load_digits().target) / 1797
    assert np.abs(share).max() < 1e-3
    assert load_dataset(config(), seed=5).fingerprint == dataset.fingerprint


def test_digits_are_standardised_by_their_training_images(config) -> None:
    dataset = load_dataset(config(train_size=100), seed=0)
    whole = load_dataset(config(), seed=0)
    assert (dataset.mean, dataset.std) == (whole.mean, whole.std)
    pixels = whole.standardise(whole.train.images).astype(float)
    assert abs(pixels.mean()) < 1e-6
    assert abs(pixels.std() - 1) < 1e-6


def bad_sources(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.tar.gz").write_bytes(b"")
    (tmp_path / "images").mkdir()
    only_train = {name: data for name, data in image_files().items() if name.startswith("train")}
    few = str(write_folder(tmp_path / "f", image_files()))
    return {
        "null": ("image_folder", {"root": None}, "data.root must name a folder"),
        "missing": ("cifar10", {"root": str(tmp_path / "imagse")}, "Did you mean .*images"),
        "empty folder": ("cifar10", {"root": str(tmp_path / "empty")}, "the folder is empty"),
        "empty file": ("cifar10", {"root": str(tmp_path / "empty.tar.gz")}, "the file is empty"),
        "device": ("cifar10", {"root": "/dev/zero"}, "and exist"),
        "nul": ("cifar10", {"root": "a\0b"}, "not a valid path"),
        "long": ("cifar10", {"root": "a" * 5000}, "readable|exist"),
        "unknown user": ("cifar10", {"root": "~nobody-of-that-name/x"}, "and exist"),
        "no test": ("image_folder", {"root": str(write_folder(tmp_path / "t", only_train))}, "No image was found|test"),
        "folder for npz": ("npz", {"root": str(tmp_path / "t")}, "the folder"),
        "train size": (
            "digits",
            {"train_size": 1438},
            "data.train_size must be at most 1437.*Try data.train_size=1437",
        ),
        "test size": ("digits", {"test_size": 361}, "data.test_size must be at most 360"),
        "batch": ("digits", {"batch_size": 1438}, "must not exceed the number of training images"),
        "batch of a subset": ("digits", {"batch_size": 64, "train_size": 10}, "Try data.batch_size=5"),
        "validation": ("digits", {"validation_size": 1437}, "data.validation_size must be at most 1436"),
        "train size, cifar": ("cifar10", {"train_size": 50_001}, "at most 50000"),
        "train size, folder": (
            "image_folder",
            {"root": few, "train_size": 9},
            "at most 8",
        ),
        "cache": ("digits", {"cache": "/dev/null/x"}, "data.cache must be"),
    }


BAD_SOURCES = (
    *("null", "missing", "empty folder", "empty file", "device", "nul", "long", "unknown user", "no test"),
    *("folder for npz", "train size", "test size", "batch", "batch of a subset", "validation"),
    *("train size, cifar", "train size, folder", "cache"),
)


@pytest.mark.parametrize("name", BAD_SOURCES)
def test_bad_sources_are_refused_at_once(tmp_path, config, name) -> None:
    source, settings, rule = bad_sources(tmp_path)[name]
    start = time.process_time()
    with pytest.raises(InputError, match=rule):
        check_source(config(source, **settings))
    assert time.process_time() - start < 0.5


def test_the_check_imports_nothing_heavy(tmp_path) -> None:
    root = write_tar(tmp_path / "a.tar.gz", cifar10_files(as_python2_wrote))
    script = (
        "import sys; sys.path.insert(0, sys.argv[2]); from layouts import data_config\n"
        "from infomcr_cli.data import check_source\n"
        "check_source(data_config('digits')); check_source(data_config('cifar10', root=sys.argv[1]))\n"
        "heavy = ('tensorflow', 'keras', 'sklearn', 'PIL', 'mlflow', 'pandas')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    command = [sys.executable, "-c", script, str(root), os.path.dirname(__file__)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_the_binary_version_is_downloaded() -> None:
    """It holds bytes alone; the Python version is pickled. Checksums as published with tensorflow_datasets."""
    assert {name: origin.url.rsplit("/", 1)[1] for name, origin in ORIGINS.items()} == {
        "cifar10": "cifar-10-binary.tar.gz",
        "cifar100": "cifar-100-binary.tar.gz",
    }
    assert all(len(origin.sha256) == 64 for origin in ORIGINS.values())


def test_an_unknown_home_does_not_stop_a_command(tmp_path, monkeypatch) -> None:
    """No HOME, and a user number without a name: ~ cannot be expanded."""
    for name in ("HOME", "KERAS_HOME", "XDG_CACHE_HOME", "INFOMCR_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda number: (_ for _ in ()).throw(KeyError(number)))
    monkeypatch.setattr(cache.tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    published = write_tar(tmp_path / "cifar-10-binary.tar.gz", cifar10_files(as_python2_wrote))
    assert fetched(origin_of(published), tmp_path / "kept", BATCHES).is_file()
    assert tmp_path in cache.cache_folder(None).parents
    assert not (tmp_path / "~").exists()


@pytest.mark.parametrize("source", ["image_folder", "imagenet", "npz", "tar"])
def test_a_file_without_permission_is_named(tmp_path, config, monkeypatch, source) -> None:
    files = image_files()
    if source == "npz":
        root = tmp_path / "a.npz"
        np.savez(root, x_train=np.zeros((2, 4, 4)), y_train=[0, 1], x_test=np.zeros((2, 4, 4)), y_test=[0, 1])
    else:
        root = write_tar(tmp_path / "a.tar", files, "w") if source == "tar" else write_folder(tmp_path / "d", files)
    name = "image_folder" if source == "tar" else source
    wanted = imagenet_config(root) if source == "imagenet" else config(name, root=str(root))
    wanted_name = str(root) if root.is_file() else "000.png"
    real = io.open

    def opened(path, *arguments, **settings):
        if str(path).endswith(wanted_name):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *arguments, **settings)

    for place in ("io.open", "builtins.open"):  # root may read everything, so the system's answer is played
        monkeypatch.setattr(place, opened)
    with pytest.raises(InputError, match=rf"readable; got '.*{wanted_name}'. Permission denied"):
        load_dataset(wanted, seed=0)


@pytest.mark.parametrize("source", ["image_folder", "imagenet", "npz", "cifar10"])
@pytest.mark.parametrize("name", ["n" * 300, "d/" + "n" * 300, "x" * 5000, "\ud800x"])
def test_a_name_that_the_system_cannot_have_is_refused(tmp_path, config, monkeypatch, source, name) -> None:
    monkeypatch.chdir(tmp_path)
    wanted = imagenet_config(name) if source == "imagenet" else config(source, root=name)
    for work in (check_source, lambda given: load_dataset(given, seed=0)):
        with pytest.raises(InputError, match=r"readable|exist|not a valid path"):
            work(wanted)


def test_a_folder_of_classes_without_permission_is_named(tmp_path, config, monkeypatch) -> None:
    root = write_folder(tmp_path / "d", image_files())
    real = os.scandir

    def scanned(path):
        if str(path).endswith("bee"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scanned)
    for wanted in (config("image_folder", root=str(root)), imagenet_config(root)):
        with pytest.raises(InputError, match=r"readable; got '.*bee'. Permission denied"):
            check_source(wanted)


def origin_of(path) -> Origin:
    import hashlib

    return Origin(path.as_uri(), hashlib.sha256(path.read_bytes()).hexdigest(), "none")


def test_an_archive_is_downloaded_once_and_used_offline(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    published = write_tar(tmp_path / "cifar-10-python.tar.gz", cifar10_files(as_python2_wrote))
    origin, kept = origin_of(published), tmp_path / "kept"
    place = fetched(origin, kept, BATCHES)
    assert place.read_bytes() == published.read_bytes()
    published.unlink()
    assert fetched(origin, kept, BATCHES) == place
    assert [path.name for path in (kept / "downloads").iterdir()] == [place.name]
    assert capsys.readouterr().out == ""


def test_a_download_with_another_checksum_is_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    published = write_tar(tmp_path / "cifar-10-python.tar.gz", cifar10_files(as_python2_wrote))
    origin = Origin(published.as_uri(), "0" * 64, "none")
    with pytest.raises(InputError, match=r"Try data.root|try data.root"):
        fetched(origin, tmp_path / "kept", BATCHES)
    assert list((tmp_path / "kept" / "downloads").iterdir()) == []


def test_what_keras_unpacked_earlier_is_used(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    unpacked = write_folder(tmp_path / "keras" / "datasets" / "target", cifar10_files(as_python2_wrote))
    origin = Origin("https://nowhere.invalid/x.tar.gz", "0" * 64, "target/cifar-10-batches-py")
    assert fetched(origin, tmp_path / "kept", BATCHES) == unpacked / "cifar-10-batches-py"


real = pytest.mark.skipif(not REAL_IMAGES.is_file(), reason=f"the real CIFAR-10 images are not at {REAL_IMAGES}")
WORDS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@real
def test_every_hundredth_of_the_real_images() -> None:
    from infomcr_cli.data.files import read_files
    from infomcr_cli.data.folder import read_images

    train, test, classes = read_images(read_files(REAL_IMAGES, lambda name: name.endswith("00.jpg")), REAL_IMAGES)
    assert classes == WORDS
    assert np.all(np.bincount(train.labels) == 50)
    assert np.all(np.bincount(test.labels) == 10)
    # A photograph's neighbouring pixels are alike; a wrong layout of bytes would make noise of it.
    steps = (
        np.abs(np.diff(train.images.astype(float), axis=2)).mean(),
        np.abs(np.diff(train.images.astype(float), axis=1)).mean(),
    )
    assert max(steps) < 20


@real
@pytest.mark.slow
def test_the_real_images(config) -> None:
    """All 60,000, decoded: ten equal classes, and channel statistics near the published ones of the original pixels."""
    dataset = load_dataset(config("cifar10", root=str(REAL_IMAGES)), seed=0)
    assert (len(dataset.train), len(dataset.test), dataset.image_shape) == (50_000, 10_000, (32, 32, 3))
    assert np.all(np.bincount(dataset.train.labels) == 5_000)
    assert np.all(np.bincount(dataset.train.labels[:10_000]) == 1_000)
    mean, std = channel_statistics(dataset.train)
    np.testing.assert_allclose(mean, CIFAR10[0], atol=0.1)
    np.testing.assert_allclose(std, CIFAR10[1], rtol=0.02)


def test_statistics_of_large_images_take_little_memory(monkeypatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 16, 16, 3), np.uint8)
    truth = pixels.astype(float).mean((0, 1, 2)), pixels.astype(float).std((0, 1, 2))
    monkeypatch.setattr("infomcr_cli.data.dataset.BLOCK_NUMBERS", 3 * pixels[0].size)
    tracemalloc.start()
    found = channel_statistics(Split(pixels, np.zeros(50, np.int32)))
    highest = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_allclose(found, truth, rtol=1e-12)
    assert highest < 16 * 3 * pixels[0].size * 4  # a few arrays of three images
