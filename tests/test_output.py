"""Whatever standard output can show or take, no command ends in a traceback, and JSON stays whole."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
import yaml

from infomcr_cli.config.compose import compose_run
from infomcr_cli.config.yaml_text import to_yaml
from infomcr_cli.console import output
from infomcr_cli.runs import RunDirectory, new_status

INFOMCR = [sys.executable, "-c", "from infomcr_cli.cli import main; main()"]
PRINTED = ["train", "--print-config", 'runs_dir="größe/γ"']
COMMANDS = (["measures"], ["measures", "--json"], ["runs", "--json"], PRINTED)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder with a run whose name no ASCII terminal can show."""
    RunDirectory.create(
        tmp_path / "runs" / "größe γ", config=to_yaml(compose_run([])), overrides=[], status=new_status("0" * 64)
    )
    return tmp_path


def infomcr(arguments: list[str], folder: Path, **options: object) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, **options.pop("environment", {})}  # type: ignore[dict-item]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run([*INFOMCR, *arguments], cwd=folder, env=environment, check=False, **options)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize(
    ("encoding", "command"),
    [
        *product(["ascii"], COMMANDS),
        ("latin-1", ["measures"]),
        ("latin-1", ["measures", "--json"]),
        ("C", ["measures"]),
    ],
    ids=str,
)
def test_letters_that_cannot_be_shown_stop_no_command(folder: Path, encoding: str, command: list[str]) -> None:
    variables = {"PYTHONIOENCODING": encoding}
    if encoding == "C":
        variables, encoding = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, "ascii"
    done = infomcr(command, folder, environment={**variables, "PYTHONUNBUFFERED": ""})
    text = done.stdout.decode(encoding)
    assert done.returncode == 0, done.stderr
    if "--json" in command:
        shown = json.loads(text)
        assert command[0] == "measures" or shown["runs"][0]["run"] == "größe γ"
        assert command[0] == "runs" or "λ" in json.dumps(shown, ensure_ascii=False)
    elif command[0] == "train":
        assert yaml.safe_load(text)["runs_dir"] == f"{folder}/größe/γ"
    else:
        assert "?" in text


@pytest.mark.parametrize(
    ("command", "unbuffered"),
    [*product([*COMMANDS, ["--help"]], [""]), (["measures", "--json"], "1"), (["--version"], "1")],
)
def test_a_full_disk_under_standard_output_is_said_in_one_line(
    folder: Path, command: list[str], unbuffered: str
) -> None:
    with open("/dev/full", "wb") as full:
        done = infomcr(command, folder, stdout=full, environment={"PYTHONUNBUFFERED": unbuffered})
    assert done.returncode == 1
    assert b"standard output" in done.stderr
    assert b"No space left" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", [["measures", "--json"], ["--help"]], ids=" ".join)
def test_a_pipe_that_nobody_reads_ends_a_command_in_silence(folder: Path, command: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = infomcr(command, folder, stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("closed", [1, 2])
def test_a_closed_stream_takes_no_number_of_a_file(folder: Path, closed: int) -> None:
    done = infomcr(["measures", "--json"], folder, preexec_fn=lambda: os.close(closed))
    assert done.returncode == 0
    assert done.stderr == b""
    assert bool(done.stdout) == (closed == 2)


def test_bad_input_is_exit_2_whatever_becomes_of_its_message(folder: Path) -> None:
    with open("/dev/full", "wb") as full:
        assert infomcr(["train", "model=wnr"], folder, stdout=full, stderr=full).returncode == 2


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_json_is_escaped_only_where_it_must_be(monkeypatch: pytest.MonkeyPatch, errors: str) -> None:
    for encoding, spelled in (("utf-8", "γ\\ud800"), ("utf-8", "γ"), ("latin-1", "é"), ("ascii", "γ")):
        document = {"name": json.loads(f'"{spelled}"')}
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors=errors)
        monkeypatch.setattr(sys, "stdout", stream)
        output.open_streams()
        output.print_json(document)
        stream.flush()
        text = stream.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
        assert json.loads(text) == document
        assert ("\\u" in text) == ("ud800" in spelled or (spelled, encoding) == ("γ", "ascii"))


def test_what_the_user_chose_for_letters_that_cannot_be_shown_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="xmlcharrefreplace")
    monkeypatch.setattr(sys, "stdout", stream)
    output.open_streams()
    assert stream.errors == "xmlcharrefreplace"
