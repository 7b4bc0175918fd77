"""Folders that are streamed: the same bits for the same seed, the right pixels, and memory that does not grow."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from layouts import augment_config, data_config, image_files, png, write_folder
from tolerances import SINGLE

from infomcr_cli.config.schema.data import ImagenetConfig
from infomcr_cli.data import check_source, evaluation_batches, load_dataset, training_batches, training_stream
from infomcr_cli.data.imagenet import MEAN, STD
from infomcr_cli.errors import InputError


def imagenet_config(place, /, **settings) -> ImagenetConfig:
    own = {"name": "imagenet", "root": str(place), "image_size": 16, "resize": 16, "workers": 2}
    return ImagenetConfig(**{**data_config().model_dump(), **own, **settings})


@pytest.fixture
def folder(tmp_path):
    """PNG and JPEG, of many sizes, with val/ for the tested ones."""
    rng = np.random.default_rng(0)
    files = {}
    for split, count in (("train", 9), ("val", 3)):
        for name in ("ant", "bee"):
            for i in range(count):
                pixels = rng.integers(0, 256, (*rng.integers(20, 60, 2), 3), dtype=np.uint8)
                kind = ("png", "PNG") if i % 2 else ("JPEG", "JPEG")
                files[f"{split}/{name}/{i}.{kind[0]}"] = png(pixels, kind[1])
    return write_folder(tmp_path / "images", files)


def arrays(batches):
    return [(np.array(images), np.array(labels)) for images, labels in batches]


def same_bits(one, other):
    pairs = list(zip(one, other, strict=True))
    return all(np.array_equal(a, b) for x, y in pairs for a, b in zip(x, y, strict=True))


NONE = augment_config("none", flip=False, padding=0)


def test_pixels_are_those_of_the_files_where_no_size_changes(tmp_path) -> None:
    files = image_files(train=5, test=2, shape=(16, 16, 3))
    wanted = imagenet_config(write_folder(tmp_path / "images", files))
    check_source(wanted)
    dataset = load_dataset(wanted, seed=0)
    from PIL import Image

    for images, labels in arrays(training_batches(dataset, wanted, NONE, seed=0, epoch=0)):
        assert images.dtype == np.float32
        for image, label in zip(images, labels, strict=True):
            raw = np.round(image * np.array(STD) + np.array(MEAN)).astype(np.uint8)
            name = ["ant", "bee"][label]
            known = {np.asarray(Image.open(p)).tobytes() for p in (tmp_path / "images" / "train" / name).iterdir()}
            assert raw.tobytes() in known
    tested = list(evaluation_batches(dataset.test, dataset, 3))
    assert [len(labels) for _, labels in tested] == [3, 1]
    first = np.asarray(Image.open(tmp_path / "images" / "test" / "ant" / "000.png"), np.float32)
    np.testing.assert_allclose(tested[0][0][0], (first - np.float32(MEAN)) / np.float32(STD), atol=SINGLE)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_training_and_evaluation_take_the_same_centre(tmp_path, kind) -> None:
    """A slope of one level a pixel tells where the window lies."""
    rows, columns = np.mgrid[0:200, 0:150].astype(np.uint8)
    picture = png(np.stack([columns, rows, rows // 2 + columns // 2], -1), kind)
    files = {f"{split}/{name}/0.{kind}": picture for split in ("train", "val") for name in "ab"}
    wanted = imagenet_config(write_folder(tmp_path / "images", files), image_size=32, resize=40)
    dataset = load_dataset(wanted, seed=0)
    ((images, _),) = arrays(training_batches(dataset, wanted, NONE, seed=0, epoch=0))
    ((tested, _),) = evaluation_batches(dataset.test, dataset, 2)
    assert np.array_equal(images, tested)
    trained = images * np.array(STD) + np.array(MEAN)
    # The centre of 120 of 150 columns and 200 rows.
    np.testing.assert_allclose([trained[0, 16, 0, 0], trained[0, 0, 16, 1]], [15 + 1.4, 40 + 1.4], atol=2)


def test_the_seed_decides_every_bit_and_a_resumed_stream_is_the_tail(folder) -> None:
    wanted, standard = imagenet_config(folder, batch_size=4), augment_config()
    dataset = load_dataset(wanted, seed=0)
    whole = arrays(training_stream(dataset, wanted, standard, seed=1, epochs=2))
    assert len(whole) == 8
    assert same_bits(whole, arrays(training_stream(dataset, wanted, standard, seed=1, epochs=2)))
    resumed = training_stream(dataset, wanted, standard, seed=1, epochs=2, first_epoch=1, first_step=2)
    assert same_bits(whole[6:], arrays(resumed))
    assert not same_bits(whole, arrays(training_stream(dataset, wanted, standard, seed=2, epochs=2)))
    assert not same_bits(whole[:4], whole[4:])


def test_crops_have_random_places_sizes_and_mirrors(tmp_path) -> None:
    """In a picture whose red is the column and whose green is the row, a crop shows where it was taken."""
    rows, columns = np.mgrid[0:200, 0:200].astype(np.uint8)
    picture = png(np.stack([columns, rows, np.zeros_like(rows)], -1))
    files = {f"{split}/{name}/{i}.png": picture for split in ("train", "val") for name in "ab" for i in range(100)}
    wanted = imagenet_config(write_folder(tmp_path / "images", files), image_size=32, resize=32, batch_size=200)
    dataset = load_dataset(wanted, seed=0)
    ((images, _),) = arrays(training_batches(dataset, wanted, augment_config(), seed=0, epoch=0))
    raw = images * np.array(STD) + np.array(MEAN)
    across = (raw[:, 16, -1, 0] - raw[:, 16, 0, 0]) * 32 / 31
    down = (raw[:, -1, 16, 1] - raw[:, 0, 16, 1]) * 32 / 31
    area, ratio = np.abs(across) * down / 200**2, np.abs(across) / down
    assert 70 < (across < 0).sum() < 130  # mirrored: 100 expected, standard deviation 7
    assert 0.06 < area.min() < 0.2
    assert 0.8 < area.max() < 1.1
    assert 0.7 < ratio.min() < 0.85
    assert 1.15 < ratio.max() < 1.45


def test_subsets_and_noise_decode_nothing(folder, monkeypatch) -> None:
    from infomcr_cli.data.streamed import StreamedImages

    load_dataset(imagenet_config(folder), seed=0)  # the files are looked at once
    for name in ("decode", "check"):
        monkeypatch.setattr(StreamedImages, name, lambda *_: pytest.fail("decoded"))
    dataset = load_dataset(imagenet_config(folder, train_size=10, validation_size=4, label_noise=0.5), seed=0)
    assert (len(dataset.train), len(dataset.validation), dataset.noisy.sum()) == (10, 4, 5)
    assert dataset.image_shape == (16, 16, 3)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"resize": 15}, "Try data.resize=18"),
        ({"root": "nowhere"}, "and exist"),
        ({"root": "."}, "It has no folder train/"),
    ],
)
def test_bad_folders_are_refused_by_the_check(folder, change, rule, monkeypatch) -> None:
    monkeypatch.chdir(folder / "val" / "ant")
    with pytest.raises(InputError, match=rule):
        check_source(imagenet_config(folder, **change))


def test_an_image_that_breaks_later_is_named_in_evaluation(folder) -> None:
    dataset = load_dataset(imagenet_config(folder), seed=0)
    (folder / "val" / "ant" / "0.JPEG").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"val/ant/0\.JPEG"):
        list(evaluation_batches(dataset.test, dataset, 2))


@pytest.mark.parametrize("name", ["cutout", "mixup", "batch_crop"])
def test_augmentations_of_a_batch_are_refused(folder, name) -> None:
    wanted = imagenet_config(folder)
    with pytest.raises(InputError, match="Accepted: none, standard"):
        training_batches(load_dataset(wanted, seed=0), wanted, augment_config(name), seed=0, epoch=0)


MEMORY = """
import os, sys; sys.path[:0] = [sys.argv[2], os.path.dirname(sys.argv[2])]
import psutil
from layouts import augment_config
from test_streaming import imagenet_config
from infomcr_cli.data import load_dataset, training_stream
wanted = imagenet_config(sys.argv[1], image_size=96, resize=108, batch_size=16)
dataset = load_dataset(wanted, seed=0)
resident, memory = [], psutil.Process()
for images, labels in training_stream(dataset, wanted, augment_config(), seed=0, epochs=4):
    resident.append(memory.memory_info().rss / 2**20)
print(len(resident), max(resident[:10]), max(resident[10:]))
"""


def test_resident_memory_does_not_grow_with_what_was_read(tmp_path) -> None:
    """480 images of 96×96 in float32 are 53 MB, their files decoded 94 MB: neither may pile up."""
    rng = np.random.default_rng(0)
    pictures = [png(rng.integers(0, 256, (256, 256, 3), dtype=np.uint8), "JPEG") for _ in range(4)]
    files = {
        f"{split}/{name}/{i}.jpg": pictures[i % 4] for split in ("train", "val") for name in "ab" for i in range(80)
    }
    root = write_folder(tmp_path / "images", files)
    command = [sys.executable, "-c", MEMORY, str(root), os.path.dirname(__file__)]
    timed = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    )
    batches, early, late = map(float, timed.stdout.split())
    assert batches == 40
    assert late - early < 40


AHEAD = """
import threading
import numpy as np
from infomcr_cli import runtime
from infomcr_cli.config.compose import compose_run
config = compose_run(["data=imagenet", "data.root=ROOT", "data.image_size=16", "data.resize=16", "data.batch_size=2",
                      "data.workers=2", "augment=SOURCE", "deterministic=true"])
runtime.prepare(config)
import tensorflow as tf
from infomcr_cli.data import load_dataset, streaming, training_stream
together = threading.Barrier(2, timeout=20)
real = streaming._image
def meet():
    together.wait()
    return np.float32(0)
def image(*arguments):
    with tf.control_dependencies([tf.numpy_function(meet, [], tf.float32, stateful=False)]):
        return real(*arguments)
streaming._image = image
dataset = load_dataset(config.data, seed=0)
print(sum(1 for _ in training_stream(dataset, config.data, config.augment, seed=0, epochs=1)))
"""


def test_images_are_decoded_side_by_side_also_where_runs_are_deterministic(folder) -> None:
    """Each waits for another: were they decoded one after the other, the first would wait in vain."""
    program = AHEAD.replace("ROOT", str(folder)).replace("SOURCE", "none")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.split()[-1:] == ["9"], done.stderr[-2000:]
