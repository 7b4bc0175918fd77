"""Files that the user names are checked before the work and written whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from cli import CommandLine
from fake_runs import three_runs

from infomcr_cli.compare import CompareRequest, compare
from infomcr_cli.errors import InputError
from infomcr_cli.report import output_files

needs_user = pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Three evaluated runs."""
    return three_runs(tmp_path / "runs")


def refused_before_gathering(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, runs: Path, *options: str
) -> str:
    """The message of a command that was refused before it read any run."""
    monkeypatch.setattr("infomcr_cli.report.gather.gather", lambda *_, **__: pytest.fail("runs were gathered"))
    before = sorted(runs.parent.rglob("*"))
    answer = command_line("compare", str(runs), "--no-tracking", *options)
    assert (answer.code, answer.out) == (2, "")
    assert sorted(runs.parent.rglob("*")) == before
    return answer.err


@pytest.mark.parametrize("option", ["--csv", "--html", "--plots"])
@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("file/inside", "Not a directory"),
        ("/proc/inside", ""),
        ("x" * 300, "name too long"),
        (f"{'x' * 300}/inside", "name too long"),
        ("link/inside", ""),
    ],
)
def test_unwritable_path_exits_2_before_gathering(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, runs: Path, option: str, place: str, why: str
) -> None:
    (runs.parent / "file").write_text("")
    (runs.parent / "link").symlink_to("/proc/nowhere/at/all")
    message = refused_before_gathering(command_line, monkeypatch, runs, option, place)
    assert f"{option} must name a f" in message
    assert why in message


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("--csv", "same"), ("--plots", "same")),
        (("--html", "same"), ("--plots", "./same")),
        (("--csv", "a"), ("--html", "link")),
    ],
)
def test_two_outputs_at_one_place_exit_2_before_gathering(
    command_line: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
    runs: Path,
    one: tuple[str, str],
    other: tuple[str, str],
) -> None:
    (runs.parent / "link").symlink_to("a")
    message = refused_before_gathering(command_line, monkeypatch, runs, *one, *other)
    assert f"{one[0]} and {other[0]} must name different places" in message


def test_folder_for_a_file_and_file_for_a_folder_exit_2_before_gathering(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, runs: Path
) -> None:
    (runs.parent / "file").write_text("")
    for option, place in (("--csv", "runs"), ("--html", "."), ("--plots", "file")):
        assert option in refused_before_gathering(command_line, monkeypatch, runs, option, place)
    message = refused_before_gathering(command_line, monkeypatch, runs, "--csv", "a", "--html", "a")
    assert "different places" in message


def test_full_disk_exits_2_before_gathering(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, runs: Path
) -> None:
    def full(**_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(output_files.tempfile, "TemporaryFile", full)
    for option in ("--csv", "--html", "--plots"):
        assert "No space left" in refused_before_gathering(command_line, monkeypatch, runs, option, "out/a")


def test_bad_tracking_uri_exits_2_before_gathering(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, runs: Path
) -> None:
    message = refused_before_gathering(command_line, monkeypatch, runs, "--tracking", "--tracking-uri", "ftp://x")
    assert "ftp" in message


def test_unknown_sort_exits_2_before_the_statistics(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, runs: Path
) -> None:
    monkeypatch.setattr("infomcr_cli.report.comparison.judge_minima", lambda *_, **__: pytest.fail("too late"))
    answer = command_line("compare", str(runs), "--sort", "gama", "--no-tracking")
    assert answer.code == 2
    assert "Did you mean 'gamma'" in answer.err


def test_disk_full_while_writing_keeps_the_former_file(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("kept")
    options = CompareRequest((str(runs),), csv=tmp_path / "t.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("infomcr_cli.runs.io.safe_files.os.fsync", _no_space)
        with pytest.raises(InputError, match="--csv must name a file that can be written"):
            compare(options)
    assert (tmp_path / "t.csv").read_text() == "kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs", "t.csv"]


def _no_space(_: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@needs_user
def test_folder_without_permission_exits_2_before_gathering(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, runs: Path
) -> None:
    (runs.parent / "locked").mkdir(mode=0o500)
    for option in ("--csv", "--html", "--plots"):
        assert "denied" in refused_before_gathering(command_line, monkeypatch, runs, option, "locked/a/b")


def test_missing_folders_are_created(command_line: CommandLine, runs: Path) -> None:
    assert command_line("compare", str(runs), "--no-tracking", "--csv", "new/deep/t.csv").code == 0
    assert (runs.parent / "new" / "deep" / "t.csv").stat().st_size > 100


def test_device_is_written_to_and_not_replaced(runs: Path) -> None:
    assert compare(CompareRequest((str(runs),), csv=type(runs)("/dev/null"))).files == ("/dev/null",)
    assert not type(runs)("/dev/null").is_file()
