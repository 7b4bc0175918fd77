from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from infomcr_cli.data import check_source, load_dataset
from infomcr_cli.errors import InputError

RNG = np.random.default_rng(2)
GOOD: dict[str, Any] = {
    "train_images": RNG.integers(0, 256, (9, 5, 4, 3), dtype=np.uint8),
    "train_labels": np.array([0, 1, 2] * 3),
    "test_images": RNG.integers(0, 256, (3, 5, 4, 3), dtype=np.uint8),
    "test_labels": np.array([2, 1, 0]),
}


def write(path, arrays, compressed=False):
    (np.savez_compressed if compressed else np.savez)(path, **arrays)
    return str(path)


@pytest.mark.parametrize("compressed", [True, False])
def test_arrays_are_read_as_they_are(tmp_path, config, compressed) -> None:
    wanted = config("npz", root=write(tmp_path / "a.npz", GOOD, compressed))
    check_source(wanted)
    dataset = load_dataset(wanted, seed=0)
    assert np.array_equal(dataset.train.images, GOOD["train_images"])
    assert np.array_equal(dataset.test.labels, GOOD["test_labels"])
    assert dataset.train.labels.dtype == np.int32
    assert dataset.class_names == ("0", "1", "2")
    assert dataset.stored_order


def test_names_of_keras_grey_images_and_columns_of_labels(tmp_path, config) -> None:
    arrays = {
        "x_train": GOOD["train_images"][..., 0].astype(float),
        "y_train": GOOD["train_labels"][:, None],
        "x_test": GOOD["test_images"][..., 0].astype(float),
        "y_test": GOOD["test_labels"][:, None],
        "class_names": np.array(["x", "y", "z"]),
    }
    dataset = load_dataset(config("npz", root=write(tmp_path / "a.npz", arrays)), seed=0)
    assert dataset.image_shape == (5, 4, 1)
    assert dataset.train.images.dtype == np.float32
    assert dataset.class_names == ("x", "y", "z")


class Runs:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was run",))


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "missing": ({"test_labels": None}, "no test_labels"),
    "objects": ({"train_images": np.array([Runs()] * 9, dtype=object)}, "train_images must be numbers"),
    "text labels": ({"train_labels": np.array(["a"] * 9)}, "train_labels must be numbers"),
    "fractional labels": ({"train_labels": np.zeros(9)}, "train_labels must be numbers"),
    "count": ({"train_labels": np.zeros(8, int)}, "train_labels \\[n\\]"),
    "flat": ({"train_images": np.zeros((9, 60), np.uint8)}, "train_images must be \\[n"),
    "shapes": ({"test_images": np.zeros((3, 5, 5, 3), np.uint8)}, "of one shape"),
    "empty": ({"train_images": np.zeros((0, 5, 4, 3), np.uint8)}, "train_images must be numbers"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arrays_are_refused_by_the_check(tmp_path, config, name) -> None:
    change, rule = WRONG[name]
    arrays = {key: value for key, value in (GOOD | change).items() if value is not None}
    with pytest.raises(InputError, match=rule):
        check_source(config("npz", root=write(tmp_path / "a.npz", arrays)))


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"train_labels": np.array([-1] * 9)}, "labels must be 0"),
        ({"train_images": np.full((9, 5, 4, 3), np.nan)}, "finite"),
        ({"class_names": np.array(["one"])}, "class_names"),
        ({"class_names": np.array([Runs()], dtype=object)}, "class_names|allow_pickle|Object arrays"),
    ],
)
def test_wrong_values_are_refused(tmp_path, config, change, rule) -> None:
    with pytest.raises(InputError, match=rule):
        load_dataset(config("npz", root=write(tmp_path / "a.npz", GOOD | change)), seed=0)


def test_a_header_that_claims_terabytes_is_refused_at_once(tmp_path, config) -> None:
    import io
    import zipfile

    path = write(tmp_path / "a.npz", GOOD)
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {"descr": "|u1", "fortran_order": False, "shape": (10**6, 1000, 1000, 3)}
    )
    with zipfile.ZipFile(path) as good, zipfile.ZipFile(tmp_path / "b.npz", "w") as bad:
        for name in good.namelist():
            bad.writestr(name, head.getvalue() if name.startswith("train_images") else good.read(name))
    with pytest.raises(InputError, match="at most"):
        check_source(config("npz", root=str(tmp_path / "b.npz")))


@pytest.mark.parametrize("data", [b"", b"text", b"PK\x03\x04"])
def test_another_file_is_refused(tmp_path, config, data) -> None:
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(InputError, match=r"data\.root must name"):
        check_source(config("npz", root=str(tmp_path / "a.npz")))
