from __future__ import annotations

import io

import numpy as np
import pytest
from layouts import image_files, png, write_folder, write_tar
from PIL import Image
from tolerances import CLOSED_FORM

from infomcr_cli.data import check_source, folder, load_dataset
from infomcr_cli.errors import InputError


def pixels_of(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


@pytest.mark.parametrize("how", ["folder", "tar", "inner"])
def test_images_and_classes_are_those_of_the_files(tmp_path, config, how) -> None:
    files = image_files()
    named = {f"outer/{name}": data for name, data in files.items()} if how == "inner" else files
    root = (
        write_folder(tmp_path / "images", files) if how == "folder" else write_tar(tmp_path / "a.tar.xz", named, "w:xz")
    )
    wanted = config("image_folder", root=str(root))
    check_source(wanted)
    dataset = load_dataset(wanted, seed=0)
    assert dataset.class_names == ("ant", "bee")
    assert dataset.image_shape == (6, 5, 3)
    assert not dataset.stored_order
    for split, part in (("train", dataset.train), ("test", dataset.test)):
        for label, name in enumerate(dataset.class_names):
            expected = {
                pixels_of(data).tobytes() for path, data in files.items() if path.startswith(f"{split}/{name}/")
            }
            assert {image.tobytes() for image in part.images[part.labels == label]} == expected
    every = np.concatenate([pixels_of(data).reshape(-1, 3) for name, data in files.items() if "train" in name])
    np.testing.assert_allclose(dataset.mean, every.mean(0), rtol=CLOSED_FORM)
    np.testing.assert_allclose(dataset.std, every.std(0), rtol=CLOSED_FORM)


def test_the_permutation_is_fixed_and_stratified(tmp_path, config) -> None:
    root = str(write_folder(tmp_path / "images", image_files(train=20)))
    one, other = (load_dataset(config("image_folder", root=root, seed=s), seed=s) for s in (0, 1))
    assert np.array_equal(one.train.images, other.train.images)
    assert np.all(np.bincount(one.train.labels[:10]) == 5)
    assert len(set(one.train.labels[:40:2])) == 2  # dealt in rounds, in no fixed order


def test_an_archive_and_its_folder_give_the_same_data(tmp_path, config) -> None:
    files = image_files()
    roots = write_folder(tmp_path / "images", files), write_tar(tmp_path / "a.tar.gz", dict(reversed(files.items())))
    one, other = (load_dataset(config("image_folder", root=str(root)), seed=0) for root in roots)
    assert one.fingerprint == other.fingerprint


def test_cifar10_takes_a_folder_with_its_own_standardisation(tmp_path, config) -> None:
    root = write_folder(tmp_path / "images", image_files(shape=(32, 32, 3)))
    dataset = load_dataset(config("cifar10", root=str(root)), seed=0)
    assert dataset.mean == (125.307, 122.95, 113.865)
    assert not dataset.stored_order


def test_the_memory_of_mixed_images_is_that_of_coloured_ones(tmp_path, config, monkeypatch) -> None:
    monkeypatch.setattr(folder, "MAX_BYTES", 12 * 6 * 5)  # all of them, in grey
    grey = image_files(shape=(6, 5))
    load_dataset(config("image_folder", root=str(write_folder(tmp_path / "grey", grey))), seed=0)
    mixed = grey | {"train/bee/003.png": image_files()["train/bee/003.png"]}
    with pytest.raises(InputError, match="decoded images must fit"):
        load_dataset(config("image_folder", root=str(write_folder(tmp_path / "mixed", mixed))), seed=0)


def test_grey_images_have_one_channel_and_mixed_ones_three(tmp_path, config) -> None:
    grey = image_files(shape=(6, 5))
    dataset = load_dataset(config("image_folder", root=str(write_folder(tmp_path / "grey", grey))), seed=0)
    assert dataset.image_shape == (6, 5, 1)
    mixed = grey | {"train/ant/000.png": image_files()["train/ant/000.png"]}
    dataset = load_dataset(config("image_folder", root=str(write_folder(tmp_path / "mixed", mixed))), seed=0)
    assert dataset.image_shape == (6, 5, 3)
    equal = (dataset.train.images == dataset.train.images[..., :1]).all((1, 2, 3))
    assert equal.sum() == len(dataset.train) - 1


def test_jpeg_and_png_may_be_mixed_among_other_files(tmp_path, config) -> None:
    files = image_files() | {
        "train/ant/extra.JPEG": png(np.zeros((6, 5, 3), np.uint8), "JPEG"),
        "train/ant/.hidden.png": b"",
        "train/readme.txt": b"x",
        "notes/ant/a.png": b"x",
    }
    dataset = load_dataset(config("image_folder", root=str(write_folder(tmp_path / "images", files))), seed=0)
    assert len(dataset.train) == 9


def test_a_class_may_be_missing_from_the_test_images_only(tmp_path, config) -> None:
    files = {name: data for name, data in image_files().items() if not name.startswith("test/bee")}
    dataset = load_dataset(config("image_folder", root=str(write_folder(tmp_path / "images", files))), seed=0)
    assert dataset.num_classes == 2


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"test/cow/000.png": png(np.zeros((6, 5, 3), np.uint8))}, "'cow'.*Accepted: ant, bee"),
        ({"train/ant/000.png": png(np.zeros((6, 4, 3), np.uint8))}, "the same size.*4x6 in train/ant/000.png"),
        ({"train/ant/000.png": b"not an image"}, "JPEG or PNG.*train/ant/000.png"),
        ({"train/ant/000.png": png(np.zeros((6, 5, 3), np.uint8), "GIF")}, "JPEG or PNG"),
        ({"train/ant/000.png": png(np.zeros((6, 5, 3), np.uint8))[:-30]}, "JPEG or PNG"),
        ({"train/ant/000.png": png(np.zeros((6, 5), np.uint16))}, "8 bits per channel"),
    ],
)
def test_a_wrong_image_is_named(tmp_path, config, change, rule) -> None:
    root = write_folder(tmp_path / "images", image_files() | change)
    with pytest.raises(InputError, match=rule):
        load_dataset(config("image_folder", root=str(root)), seed=0)
