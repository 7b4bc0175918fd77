from __future__ import annotations

import io
import zipfile
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
    "text labels": ({"train_labels": np.array(["a"] * 9)}, "train_labels must be integers.*astype"),
    "labels as objects": ({"train_labels": np.array([0, 1, 2] * 3, object)}, "train_labels must be integers.*astype"),
    "fractional labels": ({"train_labels": np.full(9, 0.5)}, "train_labels must be whole numbers; got '0.5 .float64.'"),
    "labels that are no numbers": ({"test_labels": np.array([0, np.nan, 1])}, "test_labels must be whole numbers"),
    "negative labels": ({"train_labels": np.array([0, 1, -1] * 3)}, "train_labels must be 0"),
    "labels beyond int32": ({"train_labels": np.array([0, 1, 2**32 + 1] * 3)}, "train_labels must be 0"),
    "labels from 1": ({"train_labels": np.array([1, 2, 3] * 3)}, "every class of test_labels .* train_labels; got '0'"),
    "one class": ({k: np.zeros(n, int) for k, n in (("train_labels", 9), ("test_labels", 3))}, "at least two classes"),
    "one-hot labels": ({"train_labels": np.eye(3)[[0, 1, 2] * 3]}, "train_labels \\[n\\]"),
    "truth values as pixels": (
        {"train_images": np.zeros((9, 5, 4, 3), bool)},
        "pixels from 0 to 255; got dtype.'bool'",
    ),
    "count": ({"train_labels": np.zeros(8, int)}, "train_labels \\[n\\]"),
    "flat": ({"train_images": np.zeros((9, 60), np.uint8)}, "train_images must be \\[n"),
    "shapes": ({"test_images": np.zeros((3, 5, 5, 3), np.uint8)}, "the same shape"),
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
        ({"test_images": np.full((3, 5, 4, 3), np.inf)}, "test_images must be finite"),
        ({"train_images": np.full((9, 5, 4, 3), np.nan)}, "finite"),
        ({"class_names": np.array(["one"])}, "class_names"),
        ({"class_names": np.array([Runs()], dtype=object)}, "class_names|allow_pickle|Object arrays"),
    ],
)
def test_wrong_values_are_refused(tmp_path, config, change, rule) -> None:
    with pytest.raises(InputError, match=rule):
        load_dataset(config("npz", root=write(tmp_path / "a.npz", GOOD | change)), seed=0)


@pytest.mark.parametrize("names", [("inputs",), ("words", "numbers")])
def test_an_input_is_scaled_in_both_splits_or_in_none(tmp_path, config, names) -> None:
    arrays = {f"{split}_{name}": np.ones((4, 3), np.float32) for split in ("train", "test") for name in names}
    labels = {f"{split}_labels": np.array([0, 1, 0, 1]) for split in ("train", "test")}
    wanted = config("npz", root=str(tmp_path / "a.npz"), scaling="raw")
    np.savez(tmp_path / "a.npz", **arrays, **labels)
    load_dataset(wanted, seed=0)
    np.savez(tmp_path / "a.npz", **arrays | {f"test_{names[-1]}": np.ones((4, 3), np.int64)}, **labels)
    with pytest.raises(InputError, match=f"{names[-1]} must be of the same kind.*float32 and int32"):
        load_dataset(wanted, seed=0)


@pytest.mark.parametrize("header", [b"{'descr': '|u1', 'shape': (2, 3", b"{'descr': '|u1'", b"\xff" * 40, b"((" * 20])
def test_a_damaged_header_is_refused_by_the_name_of_its_file(tmp_path, config, header) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for name in ("train_images", "train_labels", "test_images", "test_labels"):
            archive.writestr(f"{name}.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(InputError, match=r"a\.npz"):
        check_source(config("npz", root=str(tmp_path / "a.npz")))


def test_a_header_that_claims_terabytes_is_refused_at_once(tmp_path, config) -> None:
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


@pytest.mark.parametrize(
    ("name", "descr", "shape"),
    [
        ("train_images", "|i1", (2**30 + 1, 1, 1, 1)),  # bytes with a sign become float32
        ("train_images", "<f2", (2**30 + 1, 1, 1, 1)),
        ("class_names", "<U10000000", (1000,)),
    ],
)
def test_a_header_is_bounded_by_the_memory_that_its_array_takes(tmp_path, config, name, descr, shape) -> None:
    path = write(tmp_path / "a.npz", GOOD | {"class_names": np.array(["a", "b", "c"])})
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": descr, "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path) as good, zipfile.ZipFile(tmp_path / "b.npz", "w") as bad:
        for file in good.namelist():
            bad.writestr(file, head.getvalue() if file == f"{name}.npy" else good.read(file))
    with pytest.raises(InputError, match=f"{name} must .* at most"):
        load_dataset(config("npz", root=str(tmp_path / "b.npz")), seed=0)


def test_an_array_beside_images_is_named_where_it_is_no_input(tmp_path, config) -> None:
    ids = {"train_ids": np.arange(9), "test_ids": np.arange(3)}
    wanted = config("npz", root=write(tmp_path / "a.npz", GOOD | ids))
    with pytest.raises(InputError, match="The inputs of the data are images, ids: leave out"):
        load_dataset(wanted, seed=0)


@pytest.mark.parametrize("data", [b"", b"text", b"PK\x03\x04"])
def test_another_file_is_refused(tmp_path, config, data) -> None:
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(InputError, match=r"data\.root must name"):
        check_source(config("npz", root=str(tmp_path / "a.npz")))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "uint8", "int64", "uint64", ">i2"])
def test_whole_numbers_of_any_type_are_labels(tmp_path, config, dtype) -> None:
    arrays = GOOD | {key: GOOD[key].astype(dtype) for key in ("train_labels", "test_labels")}
    wanted = config("npz", root=write(tmp_path / "a.npz", arrays))
    check_source(wanted)
    dataset = load_dataset(wanted, seed=0)
    assert dataset.train.labels.dtype == np.int32
    assert np.array_equal(dataset.train.labels, GOOD["train_labels"])


def test_boolean_labels_are_two_classes(tmp_path, config) -> None:
    arrays = GOOD | {key: GOOD[key] > 0 for key in ("train_labels", "test_labels")}
    dataset = load_dataset(config("npz", root=write(tmp_path / "a.npz", arrays)), seed=0)
    assert dataset.class_names == ("0", "1")
    assert dataset.test.labels.tolist() == [1, 1, 0]


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("name", ["train_images", "train_labels", "test_images", "test_labels", "class_names"])
def test_a_damaged_array_is_refused_by_the_name_of_its_file(tmp_path, config, compressed, name) -> None:
    path = write(tmp_path / "a.npz", GOOD | {"class_names": np.array(["a", "b", "c"])}, compressed)
    data = bytearray((tmp_path / "a.npz").read_bytes())
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(f"{name}.npy")
    middle = info.header_offset + 30 + len(info.filename) + info.compress_size // 2
    data[middle] ^= 255
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(InputError, match=r"an \.npz file .* that can be read; got '.*/a\.npz'|must be .*got"):
        load_dataset(config("npz", root=path), seed=0)


def test_damage_anywhere_never_gives_a_traceback(tmp_path, config) -> None:
    """Flipped bytes and cut ends, in headers as in data: an InputError, or a byte that means nothing."""
    good = (tmp_path / "good.npz", tmp_path / "small.npz")
    write(good[0], GOOD)
    write(good[1], GOOD, compressed=True)
    rng = np.random.default_rng(0)
    refused = 0
    for i in range(120):
        data = bytearray(good[i % 2].read_bytes())
        if i % 3:
            data[rng.integers(len(data))] ^= 1 << rng.integers(8)
        else:
            del data[rng.integers(len(data)) :]
        (tmp_path / f"{i}.npz").write_bytes(data)
        try:
            load_dataset(config("npz", root=str(tmp_path / f"{i}.npz")), seed=0)
        except InputError:
            refused += 1
    assert refused > 90


def test_named_inputs_are_bounded_together(tmp_path, config) -> None:
    inputs = {f"{split}_part{number}": np.zeros((len(GOOD[f"{split}_labels"]), 2), np.float32)
              for split in ("train", "test") for number in range(3)}  # fmt: skip
    labels = {name: array for name, array in GOOD.items() if name.endswith("labels")}
    path = write(tmp_path / "a.npz", labels | inputs)
    check_source(config("npz", root=str(path)))
    head = io.BytesIO()
    shape = (len(GOOD["train_labels"]), 2**31 // 4 // len(GOOD["train_labels"]))  # just under two gigabytes each
    np.lib.format.write_array_header_1_0(head, {"descr": "<f4", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path) as good, zipfile.ZipFile(tmp_path / "b.npz", "w") as bad:
        for file in good.namelist():
            bad.writestr(file, head.getvalue() if file.startswith("train_part") else good.read(file))
    with pytest.raises(InputError, match="together"):
        check_source(config("npz", root=str(tmp_path / "b.npz")))
