"""The code blocks of the documents run as they are printed, one after the other in one process."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CommandLine

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.M | re.S)
SMALL = ("deterministic=false",)  # it holds for a whole process


def run_blocks(text: str, command_line: CommandLine) -> dict[str, Any]:
    """Run the blocks of a document and return what they leave behind."""
    names: dict[str, Any] = {"__name__": "document"}
    for kind, code in BLOCK.findall(text):
        if kind == "python":
            exec(compile(code, "document", "exec"), names)
            continue
        for line in filter(None, code.splitlines()):
            program, *words = shlex.split(line)
            assert program == "infomcr"
            answer = command_line(*words, *(SMALL if words[0] == "train" else ()))
            assert answer.code == 0, answer.err
    return names


def test_blocks_of_python_md(command_line: CommandLine, capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / "python.md").read_text()
    names = run_blocks(text, command_line)
    assert names["document"]["n"] == 6
    printed = capsys.readouterr().out
    assert "Gamma(" in printed


def test_blocks_of_readme(command_line: CommandLine) -> None:
    names = run_blocks((ROOT / "README.md").read_text(), command_line)
    assert names["found"].value is not None
