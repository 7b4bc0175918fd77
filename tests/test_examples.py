"""The examples run as they are."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

from tests.documents import ROOT, blocks

FOLDER = Path(__file__).resolve().parents[1] / "examples"
LINES = 60  # a page


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.py")))
def test_script_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert len((FOLDER / name).read_text(encoding="utf-8").splitlines()) <= LINES
    runpy.run_path(str(FOLDER / name), run_name="__main__")
    assert capsys.readouterr().out


def test_cells_of_the_notebook_are_the_blocks_of_its_page_which_run() -> None:
    notebook = json.loads((FOLDER / "notebook.ipynb").read_text(encoding="utf-8"))
    assert not [cell for cell in notebook["cells"] if cell.get("outputs")]
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    page = [block.code.rstrip() for block in blocks(ROOT / "docs/tutorials/notebook.md") if block.language == "python"]
    assert cells == page[: len(cells)]
    assert len(cells) >= 3
