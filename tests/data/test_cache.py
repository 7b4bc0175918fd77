from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from layouts import image_files, write_folder

from infomcr_cli import user_folders as homes
from infomcr_cli.data import cache, folder, load_dataset
from infomcr_cli.errors import InputError


@pytest.fixture
def images(tmp_path):
    return write_folder(tmp_path / "images", image_files())


def entries(place):
    return sorted((place / "decoded").iterdir())


def test_images_are_decoded_once_and_mapped(images, own_cache, config, monkeypatch) -> None:
    first = load_dataset(config("image_folder", root=str(images)), seed=0)
    monkeypatch.setattr(folder, "read_images", lambda *_: pytest.fail("decoded again"))
    second = load_dataset(config("image_folder", root=str(images)), seed=0)
    assert isinstance(second.train.images, np.memmap)
    assert np.array_equal(first.train.images, second.train.images)
    assert first.fingerprint == second.fingerprint
    assert (first.mean, first.std, first.class_names) == (second.mean, second.std, second.class_names)
    assert len(entries(own_cache)) == 1


def test_a_changed_folder_is_decoded_anew(images, own_cache, config) -> None:
    first = load_dataset(config("image_folder", root=str(images)), seed=0)
    (images / "train" / "ant" / "000.png").unlink()
    second = load_dataset(config("image_folder", root=str(images)), seed=0)
    assert len(second.train) == len(first.train) - 1
    assert len(entries(own_cache)) == 2


@pytest.mark.parametrize("damage", ["about.json", "train_images.npy", "test_labels.npy"])
@pytest.mark.parametrize("how", ["truncated", "removed", "garbled"])
def test_a_damaged_entry_is_made_anew(images, own_cache, config, damage, how) -> None:
    first = load_dataset(config("image_folder", root=str(images)), seed=0)
    whole = np.array(first.train.images)
    file = entries(own_cache)[0] / damage
    if how == "removed":
        file.unlink()
    else:
        data = file.read_bytes()
        file.write_bytes(data[: len(data) // 2] if how == "truncated" else b"\x00" * 40 + data[40:])
    second = load_dataset(config("image_folder", root=str(images)), seed=0)
    assert np.array_equal(second.train.images, whole)
    assert isinstance(load_dataset(config("image_folder", root=str(images)), seed=0).train.images, np.memmap)


def test_processes_that_start_at_once_agree_and_leave_one_entry(images, own_cache) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[2]); from layouts import data_config\n"
        "from infomcr_cli.data import load_dataset\n"
        "dataset = load_dataset(data_config('image_folder', root=sys.argv[1]), seed=0)\n"
        "print(dataset.fingerprint, int(dataset.train.images.astype(int).sum()))\n"
    )
    command = [sys.executable, "-c", script, str(images), os.path.dirname(__file__)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    said = {process.communicate(timeout=60)[0] for process in running}
    assert all(process.returncode == 0 for process in running)
    assert len(said) == 1
    assert [entry.name for entry in entries(own_cache) if entry.name.startswith(".")] == []
    assert len(entries(own_cache)) == 1


def test_data_cache_comes_before_the_environment(images, own_cache, config, tmp_path) -> None:
    load_dataset(config("image_folder", root=str(images), cache=str(tmp_path / "mine")), seed=0)
    assert entries(tmp_path / "mine")
    assert not own_cache.exists()


def test_a_read_only_home_does_not_stop_a_command(images, config, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("INFOMCR_CACHE", "/dev/null/cache")
    monkeypatch.setattr(cache, "cache_folder_of_user", lambda: tmp_path / "images" / "train" / "ant" / "000.png" / "x")
    monkeypatch.setattr(cache.tempfile, "tempdir", str(tmp_path))
    assert len(load_dataset(config("image_folder", root=str(images)), seed=0).train) == 8
    kept = next(tmp_path.glob("infomcr-*"))
    assert kept.stat().st_mode & 0o077 == 0


def test_a_temporary_folder_of_someone_else_is_not_trusted(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(cache.tempfile, "tempdir", str(tmp_path))
    planted = tmp_path / f"infomcr-{os.getuid()}"
    planted.mkdir()
    planted.chmod(0o777)
    assert homes.temporary_folder() != planted


def test_an_explicit_cache_must_be_writable(images, config) -> None:
    with pytest.raises(InputError, match=r"data\.cache must be a writable folder"):
        load_dataset(config("image_folder", root=str(images), cache="/dev/null/x"), seed=0)


def test_a_full_disk_costs_the_cache_not_the_run(images, own_cache, config, monkeypatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.np, "save", full)
    assert len(load_dataset(config("image_folder", root=str(images)), seed=0).train) == 8
    assert entries(own_cache) == []


def test_what_killed_processes_left_half_written_is_removed(images, own_cache, config) -> None:
    old, new = (own_cache / "decoded" / f".{'0' * 32}-{name}" for name in ("old", "new"))
    for place in (old, new):
        place.mkdir(parents=True)
        (place / "train_images.npy").write_bytes(b"half")
    foreign = own_cache / "decoded" / ".of-another-program"
    foreign.mkdir()
    for place in (old, foreign):
        os.utime(place, (0, 0))
    load_dataset(config("image_folder", root=str(images)), seed=0)
    assert not old.exists()
    assert foreign.exists()
    assert new.exists()  # of a process that may be at work


def test_what_is_renamed_into_the_cache_is_on_the_disk(images, own_cache, config, monkeypatch) -> None:
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.readlink(f"/proc/self/fd/{descriptor}")))
    load_dataset(config("image_folder", root=str(images)), seed=0)
    (entry,) = entries(own_cache)
    assert {os.path.basename(path) for path in synced} == {path.name for path in entry.iterdir()}
