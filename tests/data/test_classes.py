"""Labels and classes: what is taken and what is refused is the same whatever the source stores."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import image_files, write_folder, write_tar
from test_streaming import imagenet_config

from infomcr_cli.data import check_source, load_dataset
from infomcr_cli.data.labels import class_indices
from infomcr_cli.errors import InputError

TYPES = ("bool", "int8", "uint8", "int32", "int64", "uint64", "float16", "float32", "float64", "longdouble")
numbers = st.integers(-(2**64), 2**64) | st.floats() | st.booleans()


def slow_indices(labels: list, classes: int) -> list[int] | None:
    """The rule in Python's own numbers, which have no width: None where it is broken."""
    good = all(label == label and label not in (float("inf"), float("-inf")) for label in labels)
    if not good or not all(label == int(label) and 0 <= label < classes for label in labels):
        return None
    return [int(label) for label in labels]


@given(st.lists(numbers, min_size=1, max_size=5), st.sampled_from(TYPES), st.integers(1, 200))
@settings(max_examples=300, deadline=None)
def test_labels_are_checked_before_they_are_cast(values, dtype, classes) -> None:
    with np.errstate(all="ignore"):
        try:
            stored = np.array(values).astype(dtype)
        except (OverflowError, ValueError, TypeError):
            return
    expected = slow_indices(stored.tolist() if dtype != "longdouble" else [*map(float, stored)], classes)
    if expected is None:
        with pytest.raises(InputError, match=r"labels must be"):
            class_indices(stored, classes=classes)
    else:
        found = class_indices(stored, classes=classes)
        assert found.dtype == np.int32
        assert found.tolist() == expected


@pytest.mark.parametrize("wide", [2**32, 2**32 + 1, -(2**32) + 1, 2**63 - 1])
def test_a_label_that_wraps_around_into_a_class_is_refused(wide) -> None:
    with pytest.raises(InputError, match=r"labels must be 0\.\.9"):
        class_indices(np.array([0, wide]), classes=10)


@pytest.mark.parametrize(
    "labels", [np.array(["a"]), np.array([1], object), np.zeros((2, 3), int), np.array(1), np.array([], int), [1j]]
)
def test_labels_that_are_not_a_vector_of_numbers_are_refused(labels) -> None:
    with pytest.raises(InputError, match=r"y_train must be whole numbers, \[n\]"):
        class_indices(labels, "y_train")


def as_npz(path, train, test):
    images = {f"{s}_images": np.zeros((len(y), 6, 5, 3), np.uint8) for s, y in (("train", train), ("test", test))}
    names = sorted({*train, *test})
    labels = {f"{s}_labels": np.array([names.index(y) for y in part]) for s, part in (("train", train), ("test", test))}
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path.with_suffix(".npz"), **images, **labels)
    return path.with_suffix(".npz")


def as_files(train, test):
    image = image_files()["train/ant/000.png"]
    parts = (("train", train), ("test", test))
    return {f"{s}/{label}/{i}.png": image for s, part in parts for i, label in enumerate(part)}


SOURCES = {
    "npz": lambda path, *labels: ("npz", as_npz(path, *labels)),
    "folder": lambda path, *labels: ("image_folder", write_folder(path, as_files(*labels))),
    "tar": lambda path, *labels: ("image_folder", write_tar(path, as_files(*labels), "w")),
    "cifar10 as a folder": lambda path, *labels: ("cifar10", write_folder(path, as_files(*labels))),
    "imagenet": lambda path, *labels: ("imagenet", write_folder(path, as_files(*labels))),
}
RULES = {
    "one class": (["a", "a"], ["a"], "at least two classes"),
    "a class of the test images only": (["a", "b"], ["a", "c"], "every class of test.* must have an image in train"),
    "one class each": (["a", "a"], ["b"], "at least two classes"),
    "a class of the training images only": (["a", "b", "c"], ["a"], None),
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("rule", RULES)
def test_all_sources_check_labels_by_the_same_rules(tmp_path, config, source, rule) -> None:
    train, test, refusal = RULES[rule]
    name, root = SOURCES[source](tmp_path / "d", train, test)
    wanted = imagenet_config(root) if name == "imagenet" else config(name, root=str(root))
    if refusal is None:
        check_source(wanted)
        assert load_dataset(wanted, seed=0).num_classes == 3
        return
    if source != "tar":  # of an archive only the head is read before the images
        with pytest.raises(InputError, match=refusal):
            check_source(wanted)
    with pytest.raises(InputError, match=refusal):
        load_dataset(wanted, seed=0)


COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))


@pytest.mark.parametrize("source", ["folder", "tar", "imagenet"])
@pytest.mark.parametrize("trained", [[COMPOSED], [DECOMPOSED], [COMPOSED, DECOMPOSED]])
def test_a_name_written_in_two_ways_is_one_class(tmp_path, config, source, trained) -> None:
    """macOS parts é into e and an accent, other systems do not: a copy of the test images may come from elsewhere."""
    name, root = SOURCES[source](tmp_path / "d", ["tea", "tea", *trained], [COMPOSED, DECOMPOSED])
    wanted = imagenet_config(root) if name == "imagenet" else config(name, root=str(root))
    check_source(wanted)
    dataset = load_dataset(wanted, seed=0)
    assert dataset.class_names == (COMPOSED, "tea")
    assert dataset.test.labels.tolist() == [0, 0]
    assert np.bincount(dataset.train.labels).tolist() == [len(trained), 2]
    assert len(dataset.train.pixels) == 2 + len(trained)


def without(split, files):
    return {name: data for name, data in files.items() if not name.startswith(split)}


def test_a_missing_split_is_called_by_its_name(tmp_path, config) -> None:
    files = image_files()
    renamed = {name.replace("test/", "val/"): data for name, data in files.items()}
    for folder, kept, said in (
        ("a", without("test", files), "test/CLASS"),
        ("b", without("train", files), "train/CLASS"),
    ):
        root = write_folder(tmp_path / folder, kept)
        with pytest.raises(InputError, match=f"No image was found in {said}"):
            check_source(config("image_folder", root=str(root)))
    with pytest.raises(InputError, match="Is val/ meant"):
        check_source(config("image_folder", root=str(write_folder(tmp_path / "c", renamed))))


def test_the_tested_split_of_imagenet_is_called_by_its_name(tmp_path) -> None:
    files = {name.replace("test/", "val/"): data for name, data in image_files().items()}
    unknown = {"val/cow/1.png": files["val/ant/000.png"]}
    with pytest.raises(InputError, match=r"every class of val/ must have an image in train/; got 'cow'"):
        check_source(imagenet_config(write_folder(tmp_path / "a", files | unknown)))
    with pytest.raises(InputError, match=r"It has no folder val/"):
        check_source(imagenet_config(write_folder(tmp_path / "b", without("val", files))))
    flat = without("val", files) | {"val/1.png": files["val/ant/000.png"]}
    with pytest.raises(InputError, match=r"No image was found in val/CLASS/"):
        check_source(imagenet_config(write_folder(tmp_path / "c", flat)))
