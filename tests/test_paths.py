"""A path that cannot be used is bad input: one line that names it, exit 2, nothing left behind."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli import Answer, CommandLine

from infomcr_cli.config.compose import compose_run
from infomcr_cli.config.yaml_text import to_yaml
from infomcr_cli.errors import InputError, RunFailedError, explained
from infomcr_cli.runs import Checkpoint, RunDirectory, new_status, save_checkpoint

LONG = "x" * 300
TRAIN = ("train", "tracking=off")
COMMANDS = {
    "run directory": (*TRAIN, "--run-dir", "{}"),
    "resume": ("train", "--resume", "{}"),
    "runs_dir": (*TRAIN, "runs_dir={}"),
    "start": (*TRAIN, "start={}"),
    "data": (*TRAIN, "data=npz", "data.root={}"),
    "configuration": ("train", "--config-dir", "{}", "--print-config"),
    "eval": ("eval", "{}"),
    "compare": ("compare", "{}"),
    "judge": ("judge", "{}", "--gap", "gap", "--axes", "lr"),
    "sync": ("sync", "{}"),
    "runs": ("runs", "--runs-dir", "{}"),
    "sweep": ("sweep", "tracking=off", "seed=0,1", "runs_dir={}", "--dry-run"),
}


def make_run(path: Path) -> RunDirectory:
    return RunDirectory.create(path, config=to_yaml(compose_run([])), overrides=[], status=new_status("0" * 64))


@pytest.mark.parametrize("path", [LONG, f"new/{LONG}", "y/" * 2500, "loop/a", "file/a"], ids=lambda p: p[:8])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_path_that_no_system_can_have_is_one_line(
    command_line: CommandLine, tmp_path: Path, command: str, path: str
) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    answer = command_line(*(word.format(path) for word in COMMANDS[command]))
    assert answer.code == 2
    assert len(answer.err.splitlines()) == 1
    assert answer.err.startswith("infomcr: ")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "loop"]


def _keep_to_permissions() -> None:
    """Take from a superuser the right to pass over permissions; nobody else has it."""
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


ONE_AFTER_THE_OTHER = """
import contextlib, io, json, sys
from infomcr_cli.cli import main
answers = []
for arguments in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    sys.argv = ["infomcr", *arguments]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as stop:
            answers.append((stop.code, out.getvalue(), err.getvalue()))
print(json.dumps(answers))
"""


def infomcr(commands: list[list[str]], folder: Path) -> list[Answer]:
    """Run commands one after the other in a child that permissions hold for; it starts once for all of them."""
    child = [sys.executable, "-c", ONE_AFTER_THE_OTHER, json.dumps(commands)]
    done = subprocess.run(
        child, cwd=folder, capture_output=True, text=True, preexec_fn=_keep_to_permissions, check=False
    )
    assert done.returncode == 0, done.stderr
    return [Answer(*answer) for answer in json.loads(done.stdout)]


@pytest.fixture
def locked(tmp_path: Path) -> Path:
    """A working folder with the run `locked/a`, where nobody may look into `locked`."""
    folder = tmp_path / "locked"
    make_run(folder / "a")
    folder.chmod(0)
    listing = [sys.executable, "-c", f"import os; os.listdir({str(folder)!r})"]
    if subprocess.run(listing, capture_output=True, preexec_fn=_keep_to_permissions, check=False).returncode == 0:
        pytest.skip("permissions do not hold for this user")
    return tmp_path


def test_a_path_without_permission_is_one_line(locked: Path) -> None:
    places = {"runs": "locked", "sweep": "locked", "configuration": "locked"}
    commands = [[word.format(places.get(name, "locked/a")) for word in words] for name, words in COMMANDS.items()]
    for command, answer in zip(commands, infomcr(commands, locked), strict=True):
        assert answer.code == 2, (command, answer)
        assert len(answer.err.splitlines()) == 1, (command, answer)
        assert "locked" in answer.err
        assert any(reason in answer.err for reason in ("Permission denied", "written to", "must be a writable folder"))


def test_what_permissions_forbid_is_reported_before_any_work(locked: Path) -> None:
    make_run(locked / "runs" / "a")
    make_run(locked / "runs" / "b").checkpoints.chmod(0)
    make_run(locked / "runs" / "c").path.chmod(0)
    run = make_run(locked / "done")
    save_checkpoint(run, "epoch-0001", Checkpoint(step=1, epoch=1, weights={}))
    run.path.chmod(0o500)
    listed, evaluated = infomcr([["runs", "--json"], ["eval", "done"]], locked)
    assert listed.code == 0, listed
    problems = {one["run"]: one["problem"] or "" for one in json.loads(listed.out)["runs"]}
    refused = {name: "Permission denied" in problem for name, problem in problems.items()}
    assert refused == {"a": False, "b": True, "c": True}
    assert evaluated.code == 2
    assert "must be writable" in evaluated.err


def test_a_folder_for_runs_is_looked_at_before_a_sweep_begins(command_line: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    answer = command_line("sweep", "seed=0,1", "tracking=off", "runs_dir=file")
    assert answer.code == 2
    assert "runs_dir must be a folder" in answer.err


def test_a_working_folder_that_was_removed_is_named(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    code = f"import os; os.chdir({str(gone)!r}); os.rmdir({str(gone)!r}); from infomcr_cli.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, *TRAIN], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "the working directory does not exist" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_long_override_is_taken_for_no_path(command_line: CommandLine, tmp_path: Path) -> None:
    make_run(tmp_path / "a")
    names = ",".join(["gamma"] * 100)
    answer = command_line("eval", "a", f"measure.names=[{names}]")
    assert answer.code == 2
    assert "File name too long" not in answer.err


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP, errno.EROFS])
def test_a_path_that_is_refused_is_bad_input(number: int) -> None:
    error = explained(OSError(number, os.strerror(number), "/srv/a\x1b[31m"))
    assert isinstance(error, InputError)
    assert os.strerror(number) in str(error)
    assert "\x1b" not in str(error)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EMFILE])
def test_a_machine_that_refuses_is_no_bad_input(number: int) -> None:
    assert isinstance(explained(OSError(number, os.strerror(number), "/srv/a")), RunFailedError)


def test_what_nothing_is_known_about_keeps_its_traceback() -> None:
    assert explained(OSError("odd")) is None
    assert explained(OSError(errno.EACCES, "Permission denied")) is None
