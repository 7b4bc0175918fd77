"""docs/explanation/code.md lists functions that the commands really call, in the order of their first call."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fake_runs import grid_of_runs

PAGE = Path(__file__).resolve().parents[2] / "docs" / "explanation" / "code.md"
GAMMA = ("measure=fast", "measure.names=[gamma]", "measure.gamma.samples=20", "measure.gamma.draws=2")
TINY = ("data=digits", "data.train_size=64", "data.batch_size=32", "model=wrn", "model.depth=10", "model.width=1")
RUNS = (*TINY, "schedule.epochs=1", "tracking=off", *GAMMA, "measure.gamma.draw_size=10")

TRACE = """
import importlib.util, json, os, sys, threading
package, calls = os.path.dirname(importlib.util.find_spec("infomcr_cli").origin) + os.sep, {}
def note(frame, event, argument):
    code = frame.f_code
    if event == "call" and code.co_filename.startswith(package):
        calls.setdefault((code.co_qualname, code.co_filename.removeprefix(package)))
threading.setprofile(note)
sys.setprofile(note)
from infomcr_cli.cli import main
try:
    main()
except SystemExit as end:
    sys.exit(end.code)
finally:
    sys.setprofile(None)
    json.dump(list(calls), open("calls.json", "w"))
"""


def walk(command: str) -> list[tuple[str, str]]:
    """Return the functions and files of the table of a command."""
    section = next(part for part in PAGE.read_text().split("\n## ") if part.startswith(f"`infomcr {command} "))
    return re.findall(r"\| `([\w.]+)` \| `([\w/]+\.py)` \|$", section, flags=re.MULTILINE)


def calls(*arguments: str) -> list[tuple[str, str]]:
    """Return the functions of the package that a command calls, in the order of their first call."""
    command = [sys.executable, "-c", TRACE, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [(name, file) for name, file in json.loads(Path("calls.json").read_text())]


@pytest.fixture(scope="module")
def called(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[str, str]]]:
    """What train, eval and compare call."""
    folder = tmp_path_factory.mktemp("walks")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        grid_of_runs(folder / "grid")
        return {
            "train": calls("train", *RUNS, "reg=on", "--run-dir", "run"),
            "eval": calls("eval", "run"),
            "compare": calls("compare", "grid/*", "--csv", "table.csv"),
        }


@pytest.mark.parametrize("command", ["train", "eval", "compare"])
def test_the_documented_walk_is_that_of_the_command(called: dict[str, list[tuple[str, str]]], command: str) -> None:
    """Each function is called, and none before the function of an earlier row."""
    rows = walk(command)
    assert len(rows) >= 15
    assert [row for row in rows if row not in called[command]] == []
    places = [called[command].index(row) for row in rows]
    assert places == sorted(places)
