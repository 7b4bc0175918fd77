"""The code blocks of the documents run as they are printed, one after the other in a folder of their own."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infomcr_cli.measures import base
from tests.conftest import CommandLine
from tests.documents import ROOT, RUN, SHOWN, Reader, blocks, pages, putter, train_tiny_runs

PAGES = {path.relative_to(ROOT).as_posix(): blocks(path) for path in pages()}
WITH_CODE = sorted(name for name, found in PAGES.items() if any(block.language in RUN for block in found))
SLOW = sorted(name for name in WITH_CODE if any("slow" in block.marks for block in PAGES[name]))
# Why blocks are not run, not even by `make test-slow` → how many there are at most.
NOT_RUN = {
    "a benchmark": 3,
    "it installs packages": 9,
    "needs Kubernetes": 1,
    "needs a GPU": 3,
    "needs another machine": 5,
    "takes hours": 2,
}


@pytest.fixture(scope="session")
def tiny_runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return train_tiny_runs(tmp_path_factory.mktemp("trained"))


@pytest.fixture
def work_through(
    command_line: CommandLine, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., dict[str, Any]]]:
    """Work through a page; what it registers and imports is gone afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    base.chosen_measures()  # registers the library
    monkeypatch.setattr(base, "_MEASURES", dict(base._MEASURES))
    before = set(sys.modules)

    def put(place: Path) -> None:
        putting.setdefault("put", putter(request.getfixturevalue("tiny_runs")))(place)

    putting: dict[str, Callable[[Path], None]] = {}
    yield lambda name, full=False: Reader(command_line, put, full).work_through(PAGES[name])
    for module in set(sys.modules) - before:
        if Path(getattr(sys.modules[module], "__file__", None) or "/").is_relative_to(Path.cwd()):
            del sys.modules[module]


@pytest.mark.parametrize("name", WITH_CODE)
def test_blocks_of_a_page_run(
    name: str, work_through: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    names = work_through(name)
    if name == "docs/python.md":
        assert names["document"]["n"] == 6
        assert "Gamma(" in capsys.readouterr().out
    if name == "docs/extending.md":
        assert names["found"]["gradient_length"]["value"] > 0
        assert names["found"]["gradient_length"]["convention"]["samples"] == 1000
        assert names["history"]["penalty"][0] > names["history"]["penalty"][-1]


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", SLOW)
def test_slow_blocks_of_a_page_run(name: str, work_through: Callable[..., dict[str, Any]]) -> None:
    work_through(name, full=True)
    if lacking := {need for block in PAGES[name] for need in block.lacks()}:
        pytest.skip(f"the other blocks ran; some need {', '.join(sorted(lacking))}")


def test_every_block_names_its_language() -> None:
    nameless = [block.place for found in PAGES.values() for block in found if block.language not in RUN | SHOWN]
    assert not nameless


def test_few_blocks_are_not_run_and_each_says_why() -> None:
    marked = [block for found in PAGES.values() for block in found if "not run" in block.marks]
    assert not [block.place for block in marked if block.marks["not run"] not in NOT_RUN]
    counts = Counter(block.marks["not run"] for block in marked)
    assert not {why: count for why, count in counts.items() if count > NOT_RUN[why]}


def test_commands_are_not_hidden_in_indented_blocks() -> None:
    """An indented block is not run; a fence says what it is."""
    hidden = [
        f"{path.name}:{number}"
        for path in pages()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if line.startswith(("    infomcr ", "    python ", "    pip "))
    ]
    assert not hidden


def test_lines_of_readme_fit_120_columns() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if len(line) > 120 and not line.startswith(("![", "|", "<!--"))] == []
