"""Tables, pictures and the page: legible at any width, the same bytes each time, nothing from outside gets through."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from fake_runs import CONVENTION, config_with, evaluation, grid_of_runs, write_run
from infomcr_cli.report.mlflow_record import numbers
from infomcr_cli.report.rows import figure, psi_table, ranking_table, runs_table
from rich.cells import cell_len
from rich.console import Console

from infomcr_cli.compare import CompareOptions, compare
from infomcr_cli.measures.base import all_measures
from infomcr_cli.report import judge
from infomcr_cli.report.page import differing_settings, shared_settings, write_page
from infomcr_cli.report.plots.all import all_plots, save_plots
from infomcr_cli.report.plots.curves import gamma_along_training, spectra
from infomcr_cli.report.plots.heatmap import between_measures, psi_by_axis
from infomcr_cli.report.plots.style import short
from infomcr_cli.report.terminal import comparison_renderables

HOSTILE = "<script>alert(1)</script>[red]$x^{y$\x1b[31m\"'&"


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    return compare(CompareOptions((str(grid_of_runs(tmp_path_factory.mktemp("shown") / "runs")),)))


@pytest.fixture(scope="module")
def pictures(comparison):
    return all_plots(comparison)


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
    for grid in (runs_table(comparison), ranking_table(comparison.verdict)):
        shown = [cell for row in (grid.head, *grid.rows) for cell in row]
        if width >= 80:
            assert all(re.sub(r"\s+", "", cell) in together for cell in shown)
    assert "±" in text


def test_replicates_stand_as_mean_and_standard_deviation(comparison):
    grid = runs_table(comparison)
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
    once, again = pictures, all_plots(comparison)
    assert [one.name for one in once] == ["measures", "psi", "correlations", "gamma", "spectra", "training"]
    assert once == again
    for one in once:
        assert one.png.startswith(b"\x89PNG")
        assert b"<dc:date>" not in one.svg
        ElementTree.fromstring(one.svg)


def test_pictures_are_saved_as_svg_and_png(pictures, tmp_path):
    written = save_plots(pictures, tmp_path / "plots")
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
    grid = ranking_table(comparison.verdict)
    assert all(cell in parser.text for row in grid.rows for cell in row)
    assert sum(tag == "img" for tag, _ in parser.found) == 6


def text_of(path):
    parser = _Tags()
    parser.feed(path.read_text(encoding="utf-8"))
    return parser.text


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Four runs, gamma of the last in another convention; gamma follows the gap and leads."""
    root = tmp_path_factory.mktemp("mixed")
    for index in range(4):
        convention = CONVENTION | {"draws": 100 if index == 3 else 10}
        last = evaluation(0.1 + index / 10, {"gamma": float(index)}, convention=convention)
        last["measures"]["other"] = {"value": float((index * 3) % 5)}
        last["measures"]["gamma"]["spectrum"] = [2.0, 1.0]
        first = evaluation(0.1, {"gamma": -1.0}, convention=convention, step=20)
        write_run(root / f"r{index}", config_with(optimizer__l2=index / 10), {"last": last, "epoch-0001": first})
    return compare(
        CompareOptions((str(root),), allow_mixed=True, csv=root / "out" / "t.csv", html=root / "out" / "p.html")
    )


def test_every_number_of_mixed_conventions_is_marked_in_the_tables(mixed):
    assert "gamma*" in runs_table(mixed).head
    for grid in (ranking_table(mixed.verdict), psi_table(mixed.verdict)):
        names = [row[0] for row in grid.rows]
        assert "gamma*" in names
        assert {"gamma", "other*"}.isdisjoint(names)
    behind = {row[0]: row[-1] for row in ranking_table(mixed.verdict).rows}
    assert behind["gamma*"] == "best"
    assert re.search(r"\]\*( apart)?$", behind["other"])
    assert mixed.to_dict()["measures"]["other"]["against_best"]["mixed_conventions"] is True


def test_a_table_on_disk_says_of_each_number_in_which_convention_it_is(mixed):
    csv, html = (Path(path) for path in mixed.files)
    frame = pd.read_csv(csv)
    assert frame["gamma convention"].tolist() == ["draws=10"] * 3 + ["draws=100"]
    assert not any(name.startswith(("other convention", "train_loss convention")) for name in frame)
    assert text_of(html).count("gamma*") == 3


def test_pictures_and_the_record_of_mixed_conventions_are_marked(mixed):
    for drawn in (between_measures(mixed), psi_by_axis(mixed)):
        names = [label.get_text() for label in drawn.axes[0].get_yticklabels()]
        assert "gamma*" in names
        assert {"gamma", "other*"}.isdisjoint(names)
    assert gamma_along_training(mixed).axes[0].get_ylabel() == "gamma*, nats"
    assert spectra(mixed).axes[0].get_ylabel() == "eigenvalue of G/N*"
    assert numbers(mixed)["gamma.mixed_conventions/kendall_tau"] == pytest.approx(1.0)
    assert "gamma/kendall_tau" not in numbers(mixed)
    assert "other/kendall_tau" in numbers(mixed)


def test_nothing_is_marked_where_nothing_is_mixed(comparison, pictures, tmp_path):
    write_page(comparison, pictures, tmp_path / "page.html")
    tables = text_of(tmp_path / "page.html").partition("minima judged by")[2].partition("Pictures")[0]
    assert "ψ by axis" in tables
    assert "*" not in tables
    assert all("*" not in cell for row in psi_table(comparison.verdict).rows for cell in row)
    assert not comparison.to_dict()["measures"]["noise"]["against_best"]["mixed_conventions"]


@pytest.mark.parametrize(
    ("sort", "symbol"), [(None, "τ"), ("rho", "ρ"), ("psi", "Ψ"), ("k", "τ"), ("sign_error", "sign error")]
)
def test_the_last_heading_says_what_the_differences_are_of(comparison, sort, symbol):
    sorted_by = compare(CompareOptions(tuple(str(entry.run.path) for entry in comparison.judged), sort=sort))
    assert ranking_table(sorted_by.verdict).head[-1] == f"behind the best in {symbol}"


def test_a_statistic_without_an_interval_says_so_in_the_table():
    frame = pd.DataFrame({"lr": range(9), "gap": np.arange(9) / 10, "mu": np.arange(9.0), "nu": -np.arange(9.0)})
    grid = ranking_table(judge(frame, gap="gap", axes=["lr"], rank_by="granulated_psi"))
    first, second = (dict(zip(grid.head, row, strict=True)) for row in grid.rows[:2])
    assert first["Ψ"] == "1.00 [–] (1)"
    assert second["behind the best in Ψ"] == "2.00 [–]"


def test_the_page_holds_the_settings_of_runs_outside_the_verdict_and_long_ones_whole(tmp_path):
    long = "m" * 150
    for index in range(3):
        config = config_with(optimizer__l2=index / 10, model__name=long + "a")
        write_run(tmp_path / f"r{index}", config, {"last": evaluation(0.1 + index / 50, {"gamma": float(index)})})
    far = config_with(optimizer__l2=0.77, schedule__stop_at_train_loss=0.01, model__name=long + "b")
    write_run(tmp_path / "far", far, {"last": evaluation(0.3, {"gamma": 1.0}, train_loss=2.0)})
    write_run(tmp_path / "fresh", config_with(optimizer__momentum=0.123, model__name=long + "a"), None)
    comparison = compare(CompareOptions((str(tmp_path),), html=tmp_path / "page.html"))
    text = text_of(tmp_path / "page.html")
    assert all(part in text for part in ("(far)", "(fresh)", "0.77", "0.123", long + "a", long + "b"))
    grid = differing_settings(comparison)
    assert [row[0] for row in grid.rows] == ["r0", "r1", "r2", "(far)", "(fresh)"]
    assert {"optimizer.l2", "optimizer.momentum", "schedule.stop_at_train_loss", "model.name"} <= set(grid.head)
    shared = {row[0] for row in shared_settings(comparison).rows}
    assert shared.isdisjoint(grid.head)
    assert shared | set(grid.head[1:]) == set(comparison.judged[0].config)


def test_pictures_say_how_many_runs_and_measures_they_leave_out(tmp_path, monkeypatch):
    monkeypatch.setattr("infomcr_cli.report.plots.curves.MOST_RUNS", 3)
    monkeypatch.setattr("infomcr_cli.report.plots.scatter.MOST_PANELS", 2)
    monkeypatch.setattr("infomcr_cli.report.plots.heatmap.MOST_MEASURES", 2)
    for index in range(4):
        found = evaluation(0.1 + index / 50, {"gamma": float(index), "other": float(index * 3 % 5)})
        found["measures"]["gamma"]["spectrum"] = [1.0]
        first = evaluation(0.1, {"gamma": -1.0}, step=20)
        write_run(tmp_path / f"r{index}", config_with(optimizer__l2=index / 100), {"last": found, "one": first})
    titles = {one.name: one.title for one in all_plots(compare(CompareOptions((str(tmp_path),))))}
    for name in ("gamma", "spectra", "training"):
        assert titles[name].endswith(". The first 3 of 4 runs.")
    for name in ("measures", "psi", "correlations"):
        assert titles[name].endswith(". The first 2 of 3 measures.")


def test_no_measure_has_a_name_that_a_picture_cuts():
    assert all(short(measure.name) == measure.name for measure in all_measures())
    assert short("x" * 50) == "x" * 31 + "…"


def test_a_long_name_may_be_broken_where_its_words_meet_and_stays_escaped(tmp_path):
    for index in range(3):
        found = evaluation(0.1 + index / 50, {"one_<b>_name": float(index)})
        write_run(tmp_path / f"r{index}", config_with(optimizer__l2=index / 10), {"last": found})
    compare(CompareOptions((str(tmp_path),), html=tmp_path / "page.html"))
    assert ">one_<wbr>&lt;b&gt;_<wbr>name</td>" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_whole_pictures_have_no_note(pictures):
    assert not any("The first" in one.title for one in pictures)


def test_hostile_names_reach_no_terminal_and_no_spreadsheet(hostile, tmp_path):
    found = compare(CompareOptions((str(hostile),), csv=tmp_path / "t.csv"))
    text = printed(found, 200)
    assert "\x1b" not in text
    assert "[red]" in text
    head = pd.read_csv(tmp_path / "t.csv").columns
    assert "'=cmd()" in head
    assert not any(name.startswith("=") for name in head)
