"""A user without a home has a folder among the temporary files in its place."""

from __future__ import annotations

import os
import pwd
import tempfile
from pathlib import Path

import pytest

from infomcr_cli import user_folders as homes
from infomcr_cli.tracking.known_stores import add_known_store, is_known


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Take from the user HOME, the XDG folders and the entry among the system's users; return the temporary folder."""

    def nobody(number: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    for name in ("HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "INFOMCR_STATE", "INFOMCR_CACHE", "KERAS_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_folders_of_the_user_lie_among_the_temporary_files(homeless: Path) -> None:
    own = homeless / f"infomcr-{os.getuid()}"
    assert homes.cache_folder_of_user() == own / "cache"
    assert homes.state_folder() == own / "state"
    assert own.stat().st_mode & 0o077 == 0


def test_what_the_user_gave_is_noted_there(homeless: Path) -> None:
    add_known_store("http://host")
    assert is_known("http://host")
    assert not list(homeless.glob("~*"))


def test_the_data_of_keras_are_looked_for_nowhere_else(homeless: Path) -> None:
    from infomcr_cli.data.download import _keras_datasets

    assert not _keras_datasets().is_dir()


def test_libraries_are_given_a_home(homeless: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "to be restored")
    monkeypatch.delenv("HOME")
    homes.ensure_home()
    assert Path.home() == homeless / f"infomcr-{os.getuid()}"


def test_a_home_that_is_there_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    homes.ensure_home()
    assert Path.home() == tmp_path
