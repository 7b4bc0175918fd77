"""Tables, pictures and the page: legible at any width, the same bytes each time, nothing from outside gets through."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from io import StringIO
from xml.etree import ElementTree

import pandas as pd
import pytest
from fake_runs import config_with, evaluation, grid_of_runs, write_run
from rich.cells import cell_len
from rich.console import Console

from infomcr_cli.compare import CompareOptions, compare
from infomcr_cli.report.page import write_page
from infomcr_cli.report.pictures import all_pictures, save_pictures
from infomcr_cli.report.rows import figure, runs_grid, verdict_grid
from infomcr_cli.report.terminal import comparison_renderables

HOSTILE = "<script>alert(1)</script>[red]$x^{y$\x1b[31m\"'&"


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    return compare(CompareOptions((str(grid_of_runs(tmp_path_factory.mktemp("shown") / "runs")),)))


@pytest.fixture(scope="module")
def pictures(comparison):
    return all_pictures(comparison)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    root = tmp_path_factory.mktemp("hostile")
    for index in range(4):
        found = evaluation(0.1 + index / 50, {HOSTILE: float(index), "=cmd()": float(index % 2)})
        found["measures"][HOSTILE]["unit"] = HOSTILE
        config = config_with(model__name=f"{HOSTILE}{index}", optimizer__l2=index / 10)
        write_run(root / f"run-<img src=x onerror=alert(1)>[bold]{index}", config, {"last": found})
    write_run(root / "no <b>", config_with(), None)
    return root


def printed(comparison, width):
    text = StringIO()
    console = Console(file=text, width=width)
    for part in comparison_renderables(comparison, width):
        console.print(part)
    return text.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_tables_fit_the_terminal_and_show_every_cell(comparison, width):
    text = printed(comparison, width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert "\x1b" not in text
    together = re.sub(r"\s+", "", text)
    for grid in (runs_grid(comparison), verdict_grid(comparison.verdict)):
        shown = [cell for row in (grid.head, *grid.rows) for cell in row]
        if width >= 80:
            assert all(re.sub(r"\s+", "", cell) in together for cell in shown)
    assert "±" in text


def test_replicates_stand_as_mean_and_standard_deviation(comparison):
    grid = runs_grid(comparison)
    frame = pd.DataFrame(grid.rows, columns=list(grid.head))
    assert len(frame) == 8
    members = [entry for entry in comparison.judged if entry.name.startswith("run-off-0.1-32")]
    values = pd.Series([entry.evaluation.measures["gamma"].value for entry in members])
    shown = frame.loc[frame["run"].str.startswith("run-off-0.1-32"), "gamma"].item()
    assert shown == f"{values.mean():.3g} ± {values.std():.2g}"


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (float("nan"), "–"), (0.12345, "0.123"), (1.5e6, "1.5e+06")])
def test_numbers_are_short(value, text):
    assert figure(value) == text


def test_every_picture_is_drawn_and_the_same_bytes_again(comparison, pictures):
    once, again = pictures, all_pictures(comparison)
    assert [one.name for one in once] == ["measures", "psi", "correlations", "gamma", "spectra", "training"]
    assert once == again
    for one in once:
        assert one.png.startswith(b"\x89PNG")
        assert b"<dc:date>" not in one.svg
        ElementTree.fromstring(one.svg)


def test_pictures_are_saved_as_svg_and_png(pictures, tmp_path):
    written = save_pictures(pictures, tmp_path / "plots")
    assert sorted(written) == sorted((tmp_path / "plots").iterdir())
    assert {"measures.svg", "measures.png", "training.svg"} <= {path.name for path in written}


class _Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.text = [], ""

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_the_page_asks_for_nothing_and_escapes_every_name(hostile, tmp_path):
    compare(CompareOptions((str(hostile),), html=tmp_path / "page.html"))
    parser = _Tags()
    parser.feed((tmp_path / "page.html").read_text(encoding="utf-8"))
    tags = {tag for tag, _ in parser.found}
    assert not tags & {"script", "iframe", "object", "embed", "form", "base"}
    for tag, attributes in parser.found:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href"):
            assert attributes.get(name, "data:").startswith("data:"), tag
    assert "<script>alert(1)</script>[red]" in parser.text
    assert "\x1b" not in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_the_page_holds_every_setting_and_number(comparison, pictures, tmp_path):
    write_page(comparison, pictures, tmp_path / "page.html")
    parser = _Tags()
    parser.feed((tmp_path / "page.html").read_text(encoding="utf-8"))
    for entry in comparison.judged:
        assert all(name in parser.text for name in entry.config)
    grid = verdict_grid(comparison.verdict)
    assert all(cell in parser.text for row in grid.rows for cell in row)
    assert sum(tag == "img" for tag, _ in parser.found) == 6


def test_hostile_names_reach_no_terminal_and_no_spreadsheet(hostile, tmp_path):
    found = compare(CompareOptions((str(hostile),), csv=tmp_path / "t.csv"))
    text = printed(found, 200)
    assert "\x1b" not in text
    assert "[red]" in text
    head = pd.read_csv(tmp_path / "t.csv").columns
    assert "'=cmd()" in head
    assert not any(name.startswith("=") for name in head)
