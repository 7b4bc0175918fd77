"""Files that systems and editors leave about are neither images nor classes, in every reader."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
from layouts import as_python2_wrote, cifar10_files, image_files, png, write_folder, write_tar
from test_streaming import imagenet_config

from infomcr_cli.data import check_source, load_dataset
from infomcr_cli.data.files import first_names, is_hidden
from infomcr_cli.errors import InputError

APPLE = b"\0\5\26\7\0\2\0\0Mac OS X        "
GIF = b"GIF89a"


def left_about(folder: str = "") -> dict[str, bytes]:
    """What Jupyter, macOS, Windows and git leave, in and beside the folders of images."""
    image = image_files()["train/ant/000.png"]
    splits = {
        f"{folder}{split}/{name}": data
        for split in ("train", "test", "val")
        for name, data in {
            ".ipynb_checkpoints/000-checkpoint.png": image,
            "ant/.ipynb_checkpoints/000-checkpoint.png": image,
            "ant/._000.png": APPLE,
            "ant/.000.png.swp": b"x",
            "ant/.hidden.gif": GIF,
            "ant/.DS_Store": b"x",
            "ant/Thumbs.db": b"x",
            ".Trash/000.png": b"x",
            "__MACOSX/._000.png": APPLE,
        }.items()
    }
    names = {f"__MACOSX/{folder}train/ant/._{i:03d}.png": APPLE for i in range(30)}
    return names | splits | {f"{folder}.git/objects/{i}": b"x" for i in range(30)} | {f"{folder}desktop.ini": b"x"}


def write_zip(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


WRITERS = {"folder": write_folder, "tar": lambda path, files: write_tar(path, files, "w"), "zip": write_zip}


@pytest.mark.parametrize("how", WRITERS)
@pytest.mark.parametrize("folder", ["", "images/"])
def test_images_and_classes_equal_those_of_the_visible_files(tmp_path, config, how, folder) -> None:
    clean = {f"{folder}{name}": data for name, data in image_files().items()}
    expected = load_dataset(config("image_folder", root=str(WRITERS[how](tmp_path / "clean", clean))), seed=0)
    # The hidden ones come first: an archive's head may hold nothing else.
    wanted = config("image_folder", root=str(WRITERS[how](tmp_path / "d", left_about(folder) | clean)))
    check_source(wanted)
    dataset = load_dataset(wanted, seed=0)
    assert (dataset.class_names, dataset.fingerprint) == (expected.class_names, expected.fingerprint)


def test_streamed_images_and_classes_equal_those_of_the_visible_files(tmp_path) -> None:
    clean = {name.replace("test/", "val/"): data for name, data in image_files().items()}
    expected = load_dataset(imagenet_config(write_folder(tmp_path / "clean", clean)), seed=0)
    root = write_folder(tmp_path / "d", left_about() | clean)
    (root / "train" / ".empty").mkdir()
    wanted = imagenet_config(root)
    check_source(wanted)
    dataset = load_dataset(wanted, seed=0)
    assert (dataset.class_names, dataset.fingerprint) == (("ant", "bee"), expected.fingerprint)
    assert len(dataset.train) == 8


@pytest.mark.parametrize("how", WRITERS)
def test_cifar_pixels_equal_those_of_the_files(tmp_path, config, how) -> None:
    files = cifar10_files(as_python2_wrote)
    hidden = {f"cifar-10-batches-py/.old/{name.split('/')[1]}": b"not a batch" for name in files}
    hidden |= {f"__MACOSX/{name}": b"not a batch" for name in files} | {"._cifar-10-batches-py": APPLE}
    dataset = load_dataset(config("cifar10", root=str(WRITERS[how](tmp_path / "d", hidden | files))), seed=0)
    assert (len(dataset.train), len(dataset.test)) == (20, 4)


def test_an_empty_folder_is_no_class(tmp_path, config) -> None:
    root = write_folder(tmp_path / "d", image_files())
    (root / "train" / "cow").mkdir()
    (root / "test" / "dog").mkdir()
    write_folder(root, {"train/lost+found/x.txt": b"x"})
    for wanted in (config("image_folder", root=str(root)), imagenet_config(root)):
        check_source(wanted)
        assert load_dataset(wanted, seed=0).class_names == ("ant", "bee")


def test_a_folder_of_hidden_files_alone_holds_no_image(tmp_path, config) -> None:
    root = write_folder(tmp_path / "d", left_about())
    for wanted in (config("image_folder", root=str(root)), imagenet_config(root)):
        with pytest.raises(InputError, match="No image was found in train/CLASS/"):
            check_source(wanted)


def test_what_a_file_browser_leaves_does_not_decode_a_folder_anew(tmp_path, own_cache, config) -> None:
    root = write_folder(tmp_path / "d", image_files())
    load_dataset(config("image_folder", root=str(root)), seed=0)
    write_folder(root, left_about())
    load_dataset(config("image_folder", root=str(root)), seed=0)
    assert len(list((own_cache / "decoded").iterdir())) == 1


def test_a_hidden_folder_may_hold_the_data(tmp_path, config) -> None:
    root = write_folder(tmp_path / ".cache" / "d", image_files())
    assert len(load_dataset(config("image_folder", root=str(root)), seed=0).train) == 8


def test_names_of_every_level_count() -> None:
    assert all(map(is_hidden, (".a", "a/.b/c", "a/._c", "__MACOSX/a", "a/THUMBS.DB", "a/desktop.ini")))
    assert not any(map(is_hidden, ("a", "a/b.c", "a/b.", "MACOSX/a", "a/_b", "thumbs/db")))


def test_a_zip_from_windows_is_read(tmp_path, config) -> None:
    """Some programs part names by backslashes, against the format's rule; folders have an entry of their own."""
    files = image_files()
    path = tmp_path / "windows.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train\\ant\\", b"")
        for name, data in files.items():
            archive.writestr(name.replace("/", "\\"), data)
    expected = load_dataset(config("image_folder", root=str(write_folder(tmp_path / "d", files))), seed=0)
    wanted = config("image_folder", root=str(path))
    check_source(wanted)
    assert load_dataset(wanted, seed=0).fingerprint == expected.fingerprint


@pytest.mark.parametrize(
    "name",
    ["..\\escaped", "train\\..\\..\\escaped", "\\escaped", "\\\\server\\escaped", "C:\\escaped", "c:escaped", "a/b\\c"],
)
@pytest.mark.parametrize("hidden", [False, True])
def test_a_name_with_backslashes_that_leads_out_is_refused(tmp_path, config, name, hidden) -> None:
    files = image_files()
    path = tmp_path / "windows.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}\\.x" if hidden else name, b"x")
        for good, data in files.items():
            archive.writestr(good, data)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(InputError, match="stay inside"):
        load_dataset(config("image_folder", root=str(path)), seed=0)
    assert {p for p in set(tmp_path.rglob("*")) - before if "escaped" in p.name} == set()


def test_hidden_files_are_not_among_the_first_names(tmp_path) -> None:
    root = write_zip(tmp_path / "a.zip", left_about() | {"train/ant/1.png": png(np.zeros((2, 2), np.uint8))})
    assert first_names(root) == ["train/ant/1.png"]
