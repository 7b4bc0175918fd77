"""The code blocks of the documents run as they are printed, one after the other in one process."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from infomcr_cli.measures import base
from tests.conftest import CommandLine

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.M | re.S)
FILE = re.compile(r"# (\w+\.py)\n")  # a block that is a file of that name
SMALL = ("deterministic=false",)  # it holds for a whole process


def run_blocks(text: str, command_line: CommandLine) -> dict[str, Any]:
    """Run the blocks of a document and return what they leave behind."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for kind, code in BLOCK.findall(text):
        if file := FILE.match(code):
            Path(file[1]).write_text(code)
        elif kind == "python":
            exec(compile(code, "document", "exec", dont_inherit=True), names)
        else:
            for line in filter(None, code.splitlines()):
                run_line(line, command_line)
    return names


def run_line(line: str, command_line: CommandLine) -> None:
    program, *words = shlex.split(line)
    assert program == "infomcr"
    answer = command_line(*words, *(SMALL if words[0] == "train" else ()))
    assert answer.code == 0, answer.err


def test_blocks_of_python_md(command_line: CommandLine, capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / "python.md").read_text()
    names = run_blocks(text, command_line)
    assert names["document"]["n"] == 6
    printed = capsys.readouterr().out
    assert "Gamma(" in printed


def test_blocks_of_extending_md(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(base, "_MEASURES", dict(base._MEASURES))
    names = run_blocks((ROOT / "docs" / "extending.md").read_text(), command_line)
    for module in ("mydata", "mynets"):
        sys.modules.pop(module)
    assert names["found"]["gradient_length"]["value"] > 0
    assert names["found"]["gradient_length"]["convention"]["samples"] == 1000
    assert names["history"]["penalty"][0] > names["history"]["penalty"][-1]


def test_lines_of_readme_fit_120_columns() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if len(line) > 120 and not line.startswith("![")] == []


def test_blocks_of_readme(command_line: CommandLine) -> None:
    names = run_blocks((ROOT / "README.md").read_text(), command_line)
    assert names["found"].value is not None
