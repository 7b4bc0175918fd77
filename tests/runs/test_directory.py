"""A run directory appears whole, belongs to one run, and is opened without trust."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest

from infomcr_cli.errors import InputError
from infomcr_cli.runs import RunDirectory, is_run, new_run_name, new_status
from infomcr_cli.runs.directory import check_folder


def create(path: Path) -> RunDirectory:
    return RunDirectory.create(path, config=b"seed: 0\n", overrides=[], status=new_status("ab"))


def test_a_created_run_can_be_opened(run: RunDirectory) -> None:
    assert RunDirectory.open(run.path) == run
    assert run.read_config().strip().startswith(b"model:")
    assert is_run(run.path)
    assert not list(run.path.parent.glob(".creating-*"))


def test_an_existing_run_directory_is_refused_and_unchanged(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "mine").write_text("x")
    for taken in (tmp_path / "a", tmp_path / "a" / "mine"):
        with pytest.raises(InputError, match="already exists"):
            create(taken)
    assert os.listdir(tmp_path) == ["a"]
    assert os.listdir(tmp_path / "a") == ["mine"]


def test_an_invalid_path_is_refused() -> None:
    with pytest.raises(InputError, match="cannot be created"):
        create(Path("/proc/nowhere/a"))


def test_the_same_name_twice_gives_two_runs(tmp_path: Path) -> None:
    names = [
        RunDirectory.create_new(tmp_path, "x", config=b"", overrides=[], status=new_status("")).path.name
        for _ in range(3)
    ]
    assert names == ["x", "x-2", "x-3"]


@pytest.mark.parametrize("name", ["with space", "ünïcode-Ω", "日本", "a'b\"c"])
def test_any_printable_name_works(tmp_path: Path, name: str) -> None:
    assert RunDirectory.open(create(tmp_path / name).path).path.name == name


def test_names_sort_by_time() -> None:
    early, late = (new_run_name("wrn", "on", "0123456789ab", datetime(2026, 1, day, tzinfo=UTC)) for day in (9, 10))
    assert early == "20260109-000000-wrn-on-01234567"
    assert early < late


def test_a_mistaken_name_gets_the_nearest_run(run: RunDirectory) -> None:
    sibling = create(run.path.parent / "20260101-wrn-on")
    with pytest.raises(InputError, match="20260101-wrn-on"):
        RunDirectory.open(str(sibling.path)[:-1])


def plant_link(run: RunDirectory) -> None:
    (run.path / "plots" / "x.png").symlink_to("/etc/passwd")


def plant_linked_folder(run: RunDirectory) -> None:
    run.checkpoints.rmdir()
    run.checkpoints.symlink_to("/tmp")


def plant_linked_config(run: RunDirectory) -> None:
    run.config.unlink()
    run.config.symlink_to("/etc/hostname")


def plant_pipe(run: RunDirectory) -> None:
    os.mkfifo(run.path / "metrics.jsonl")


def plant_socket(run: RunDirectory) -> None:
    home = os.getcwd()
    os.chdir(run.path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
    os.chdir(home)


def plant_depth(run: RunDirectory) -> None:
    (run.path / "/".join("abcdefgh")).mkdir(parents=True)


@pytest.mark.parametrize(
    "plant", [plant_link, plant_linked_folder, plant_linked_config, plant_pipe, plant_socket, plant_depth]
)
def test_links_and_special_files_in_a_run_directory_are_refused(run: RunDirectory, plant: object) -> None:
    assert callable(plant)
    plant(run)
    with pytest.raises(InputError, match="run directory"):
        RunDirectory.open(run.path)


@pytest.mark.parametrize("relative", ["../a/config.yaml", "/etc/passwd", "", ".", "plots/../../x", "a\0b", "plots//x"])
def test_paths_that_leave_are_refused(run: RunDirectory, relative: str) -> None:
    with pytest.raises(InputError, match="inside"):
        run.read(relative)


def test_a_link_in_the_way_is_refused_even_after_opening(run: RunDirectory) -> None:
    (run.path / "inner").symlink_to("/etc")
    with pytest.raises(InputError, match="plain file"):
        run.read("inner/hostname")
    with pytest.raises(InputError, match="at most 3 bytes"):
        run.read("config.yaml", 3)


def test_a_folder_of_runs_that_json_cannot_name_is_refused(tmp_path: Path) -> None:
    check_folder(tmp_path / "ünï 日本")
    with pytest.raises(InputError, match="must be UTF-8"):
        check_folder(Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")))
