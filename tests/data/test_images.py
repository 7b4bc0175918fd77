"""Every image that is taken has the same pixels everywhere; every other one is refused by name, before training."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from image_kinds import REFUSED, SIDE, TAKEN, saved
from layouts import augment_config, image_files, write_folder, write_tar
from PIL import Image
from test_streaming import imagenet_config

from infomcr_cli.data import check_source, evaluation_batches, load_dataset, named_failures, training_batches
from infomcr_cli.data.imagenet import MEAN, STD
from infomcr_cli.data.streaming import _image
from infomcr_cli.errors import InputError

PLAIN = augment_config("none", flip=False, padding=0)


def two_classes(data: bytes, name: str = "1.jpg") -> dict[str, bytes]:
    return {f"{split}/{label}/{name}": data for split in ("train", "val", "test") for label in ("ant", "bee")}


@pytest.mark.parametrize("kind", TAKEN)
def test_training_and_evaluation_see_the_same_pixels(tmp_path, kind) -> None:
    data, expected, tolerance = TAKEN[kind]
    wanted = imagenet_config(write_folder(tmp_path / "d", two_classes(data)), image_size=SIDE, resize=SIDE)
    with warnings.catch_warnings(record=True) as said:
        dataset = load_dataset(wanted, seed=0)
        ((trained, _),) = [(np.array(x), y) for x, y in training_batches(dataset, wanted, PLAIN, seed=0, epoch=0)]
        ((tested, _),) = evaluation_batches(dataset.test, dataset, 2)
    assert np.array_equal(trained, tested)
    raw = np.round(tested[0] * np.float32(STD) + np.float32(MEAN))
    np.testing.assert_allclose(raw, expected.astype(float), atol=tolerance)
    assert [str(one.message) for one in said if "image" in str(one.message).lower()] == []


@pytest.mark.parametrize("kind", TAKEN)
def test_a_folder_in_memory_gives_those_pixels_too(tmp_path, config, kind) -> None:
    data, expected, tolerance = TAKEN[kind]
    dataset = load_dataset(config("image_folder", root=str(write_folder(tmp_path / "d", two_classes(data)))), seed=0)
    pixels = np.broadcast_to(dataset.test.pixels[0], expected.shape).astype(float)
    np.testing.assert_allclose(pixels, expected.astype(float), atol=tolerance)


def test_a_resized_image_is_the_same_in_training_and_evaluation(tmp_path) -> None:
    """A large JPEG is decoded at a smaller scale, a small one is not: in both alike."""
    rng = np.random.default_rng(0)
    for side in (40, 600):
        picture = saved(Image.fromarray(rng.integers(0, 256, (side, side + 30, 3), dtype=np.uint8)), "JPEG")
        wanted = imagenet_config(write_folder(tmp_path / str(side), two_classes(picture)), image_size=32, resize=36)
        dataset = load_dataset(wanted, seed=0)
        ((trained, _),) = [(np.array(x), y) for x, y in training_batches(dataset, wanted, PLAIN, seed=0, epoch=0)]
        assert np.array_equal(trained, next(evaluation_batches(dataset.test, dataset, 2))[0])


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("reader", ["imagenet", "folder", "tar", "zip"])
def test_any_other_file_is_refused_by_name_before_training(tmp_path, config, kind, reader) -> None:
    data, rule = REFUSED[kind]
    good = TAKEN["png"][0]
    files = two_classes(good) | {f"train/{label}/{n}.png": good for label in ("ant", "bee") for n in range(3)}
    files["train/bee/2.png"] = data
    if reader == "tar":
        root = write_tar(tmp_path / "d.tar.gz", files)
    elif reader == "zip":
        root = tmp_path / "d.zip"
        with zipfile.ZipFile(root, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        root = write_folder(tmp_path / "d", files)
    wanted = imagenet_config(root) if reader == "imagenet" else config("image_folder", root=str(root))
    check_source(wanted)
    for _ in range(2):  # a refusal is not remembered as a success
        with pytest.raises(InputError, match=rf"{rule}.*train/bee/2\.png"):
            load_dataset(wanted, seed=0)


@pytest.mark.parametrize("ending", ["gif", "WEBP", "bmp", "tiff", "heic"])
@pytest.mark.parametrize("source", ["image_folder", "imagenet"])
def test_an_image_with_an_unknown_suffix_is_reported(tmp_path, config, ending, source) -> None:
    root = write_folder(tmp_path / "d", two_classes(TAKEN["png"][0]) | {f"train/ant/2.{ending}": b"GIF89a"})
    wanted = imagenet_config(root) if source == "imagenet" else config(source, root=str(root))
    with pytest.raises(InputError, match=rf"JPEG or PNG files.*train/ant/2\.{ending}"):
        load_dataset(wanted, seed=0)


def test_images_outside_of_class_folders_and_other_files_are_skipped(tmp_path, config) -> None:
    extra = {"train/ant/readme.txt": b"x", "docs/logo.gif": b"x", "train/plot.gif": b"x", "LICENSE": b"x"}
    root = write_folder(tmp_path / "d", two_classes(TAKEN["png"][0]) | extra)
    for wanted in (config("image_folder", root=str(root)), imagenet_config(root)):
        assert len(load_dataset(wanted, seed=0).train) == 2


def test_files_are_checked_once_until_one_changes(tmp_path, monkeypatch) -> None:
    from infomcr_cli.data.streamed import StreamedImages

    checks = []
    real = StreamedImages.check
    monkeypatch.setattr(
        StreamedImages, "check", lambda self, decode: (checks.append(decode), real(self, decode=decode))
    )
    root = write_folder(tmp_path / "d", two_classes(TAKEN["png"][0]))
    for _ in range(2):
        load_dataset(imagenet_config(root), seed=0)
    assert checks == [True, True]  # training and test split, once
    (root / "val" / "bee" / "1.jpg").write_bytes(TAKEN["jpeg"][0])
    load_dataset(imagenet_config(root), seed=0)
    assert len(checks) == 4


def test_of_many_files_the_heads_are_read(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("infomcr_cli.data.imagenet.FEW", 1)
    cut, _ = REFUSED["png cut short"]
    root = write_folder(tmp_path / "d", two_classes(TAKEN["png"][0]) | {"train/bee/2.png": cut})
    load_dataset(imagenet_config(root), seed=0)
    for kind in ("16 bits of colour", "gif", "jpeg of a head alone", "text"):
        write_folder(root, {"train/bee/3.png": REFUSED[kind][0]})
        with pytest.raises(InputError, match=r"train/bee/3\.png"):
            load_dataset(imagenet_config(root), seed=0)


@pytest.mark.parametrize("padding", [0, 4])
def test_a_file_that_breaks_while_training_is_named(tmp_path, padding) -> None:
    augment = augment_config("standard", padding=padding)
    root = write_folder(tmp_path / "d", image_files(train=4, shape=(20, 20, 3)))
    wanted = imagenet_config(root)
    dataset = load_dataset(wanted, seed=0)
    broken = root / "train" / "bee" / "002.png"
    for damage in (lambda: broken.write_bytes(b"broken"), broken.unlink):
        damage()
        batches = training_batches(dataset, wanted, augment, seed=0, epoch=0)
        with pytest.raises(InputError, match=r"train/bee/002\.png"):
            list(named_failures(batches, dataset))
        dataset.train.images.failures.clear()


def test_errors_that_are_not_of_a_file_pass_as_they_are(tmp_path) -> None:
    root = write_folder(tmp_path / "d", two_classes(TAKEN["png"][0]))
    dataset = load_dataset(imagenet_config(root), seed=0)
    failing = tf.data.Dataset.range(1).map(lambda n: tf.debugging.check_numerics(np.nan / tf.cast(n, tf.float32), ""))
    with pytest.raises(tf.errors.InvalidArgumentError):
        list(named_failures(failing, dataset))


def test_one_image_without_its_name_is_decoded_all_the_same(tmp_path) -> None:
    (tmp_path / "x.png").write_bytes(TAKEN["png, palette"][0])
    from infomcr_cli.data.streamed import StreamedImages

    images = StreamedImages(Path(tmp_path), np.array([b"x.png"]), SIDE, SIDE, 1)
    trained = _image(tf.io.read_file(str(tmp_path / "x.png")), images, PLAIN, tf.constant([0, 0]))
    assert np.array_equal(trained, images[np.array([0])][0].astype(np.float32))
