"""The HTML page: no requests, no script but its own, every name escaped, every number shown, gamma and gaps first."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

import pytest
from fake_runs import config_with, evaluation, write_run
from page_reader import Tags, check_page_is_closed, parsed, text_of

from infomcr_cli.compare import CompareRequest, compare
from infomcr_cli.report.comparison import Comparison
from infomcr_cli.report.page import write_page
from infomcr_cli.report.page_tables import (
    PageTable,
    differing_settings,
    every_run_table,
    runs_tables,
    shared_settings,
    with_error,
)
from infomcr_cli.report.plots.style import Plot
from infomcr_cli.report.ranking_table import psi_table, ranking_table


def texts(table: PageTable) -> list[list[str]]:
    return [[cell.text for cell in row] for row in table.rows]


def test_page_makes_no_request_and_escapes_every_name(hostile: Path, tmp_path: Path) -> None:
    compare(CompareRequest((str(hostile),), html=tmp_path / "page.html"))
    check_page_is_closed(tmp_path / "page.html")  # its policy allows its own script and style alone
    assert "<script>alert(1)</script>[red]" in text_of(tmp_path / "page.html")
    assert "\x1b" not in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_sections_come_in_the_order_of_a_readers_questions(
    comparison: Comparison, plots: Sequence[Plot], tmp_path: Path
) -> None:
    write_page(comparison, plots, tmp_path / "page.html")
    page = parsed(tmp_path / "page.html")
    anchors = [attributes["id"] for tag, attributes in page.found if "id" in attributes and tag in ("h2", "summary")]
    first = ["differences", "runs", "every-run", "training-curves", "gamma-gap", "ranking", "measures"]
    assert anchors[:7] == first
    assert anchors[-1] == "shared-settings"
    skip, *links = [attributes["href"] for tag, attributes in page.found if tag == "a"]
    assert links[: len(anchors)] == [f"#{one}" for one in anchors]
    assert skip == "#differences"
    folded = [attributes["id"] for tag, attributes in page.found if tag == "summary"]
    assert {"every-run", "measures", "psi", "shared-settings"} <= {*folded}
    assert {"runs", "ranking", "gamma-gap", "training-curves"}.isdisjoint(folded)


def test_runs_begin_with_gamma_and_the_gaps(comparison: Comparison) -> None:
    settings, every_run = runs_tables(comparison, None)
    assert settings.head[1].startswith("gamma")
    assert settings.head[2].startswith("error gap")
    assert len(settings.rows) == 8
    assert every_run.head[:4] == ["run", "gamma, nats", "error gap, %", "test error, %"]
    assert len(every_run.rows) == 16


def test_errors_of_rates_are_binomial_and_in_percent(tmp_path: Path) -> None:
    for index in range(3):
        found = evaluation(0.1, {"gamma": -378.19 + index}, n_test=400) | {"n_train": 1000}
        found["measures"]["gamma"]["std_error"] = 8.07
        found["train"]["accuracy"], found["test"]["accuracy"] = 0.96, 0.86
        write_run(tmp_path / f"r{index}", config_with(optimizer__l2=index / 10), {"last": found})
    table = every_run_table(compare(CompareRequest((str(tmp_path),))), None)
    row = dict(zip(table.head, texts(table)[0], strict=True))
    of_test = math.sqrt(0.86 * 0.14 / 400)
    of_gap = math.sqrt(of_test**2 + 0.96 * 0.04 / 1000)
    assert row["gamma, nats"] == "-378 ± 8"
    assert row["test error, %"] == f"14.0 ± {100 * of_test:.1f}"
    assert row["error gap, %"] == f"10.0 ± {100 * of_gap:.1f}"


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (None, 1.0, "–"),
        (float("nan"), 1.0, "–"),
        (12.345, None, "12.3"),
        (12.345, 0.0, "12.3"),
        (12.345, float("inf"), "12.3"),
        (-580.4, 9.6, "-580 ± 10"),
        (-0.0001, 0.02, "0.00 ± 0.02"),
        (3.4, 11.4, "3 ± 11"),
        (1e308, 2e306, "1e+308 ± 2e+306"),
        (123456.0, 7000.0, "123000 ± 7000"),
    ],
)
def test_numbers_have_the_digits_that_their_error_allows(value: float | None, error: float | None, text: str) -> None:
    assert with_error(value, error) == text


def test_links_lead_from_the_page_to_folders_and_mlflow(tmp_path: Path) -> None:
    for index, name in enumerate(("javascript:alert(1)", "a b?c#d", 'x"y')):
        config = config_with(optimizer__l2=index / 10)
        found = {"last": evaluation(0.1 + index / 50, {"gamma": float(index)})}
        write_run(tmp_path / "runs" / name, config, found, mlflow_run_id=f"{index}abcdef0123")
    comparison = compare(CompareRequest((str(tmp_path / "runs"),), html=tmp_path / "out" / "page.html"))
    links = [one["href"] for tag, one in parsed(tmp_path / "out" / "page.html").found if tag == "a"]
    folders = [unquote(link) for link in links if link.startswith("../runs/")]
    assert {(tmp_path / "out" / folder).resolve() for folder in folders} == {*(tmp_path / "runs").iterdir()}
    assert not any("?" in link or '"' in link for link in links)
    assert "http://127.0.0.1:5000/#/runs/0abcdef0123" in links
    moved = every_run_table(comparison, None).rows[0][0].address
    assert moved is not None
    assert moved.startswith("file:///")


def test_every_plot_is_described_in_words(comparison: Comparison, plots: Sequence[Plot], tmp_path: Path) -> None:
    write_page(comparison, plots, tmp_path / "page.html")
    content = (tmp_path / "page.html").read_text(encoding="utf-8")
    described = re.findall(r"<desc[^>]*>([^<]*)</desc>", content) + re.findall(r'<img [^>]*alt="([^"]*)"', content)
    assert len(described) == len(plots)
    assert all(len(text) > 40 for text in described)
    gamma = next(text for text in described if text.startswith("Scatter plot of 8 settings"))
    assert re.search(r"gamma from -\d.* to -\d.* nats, error gap from [\d.]+ to [\d.]+ %", gamma or "")


def test_page_contains_every_setting_and_statistic(
    comparison: Comparison, plots: Sequence[Plot], tmp_path: Path
) -> None:
    write_page(comparison, plots, tmp_path / "page.html")
    parser = Tags()
    parser.feed((tmp_path / "page.html").read_text(encoding="utf-8"))
    for run in comparison.included:
        assert all(name in parser.text for name in run.config)
    table = ranking_table(comparison.ranking)
    assert all(cell in parser.text for row in table.rows for cell in row)
    assert sum(tag in ("img", "svg") for tag, _ in parser.found) == 7


def test_page_marks_nothing_without_mixed_conventions(
    comparison: Comparison, plots: Sequence[Plot], tmp_path: Path
) -> None:
    write_page(comparison, plots, tmp_path / "page.html")
    tables = text_of(tmp_path / "page.html")
    assert "ψ by axis" in tables
    assert "*" not in tables
    assert all("*" not in cell for row in psi_table(comparison.ranking).rows for cell in row)
    assert not comparison.to_dict()["measures"]["noise"]["mixed_conventions"]


def test_page_contains_settings_of_unranked_runs_and_long_settings_whole(tmp_path: Path) -> None:
    long = "m" * 150
    for index in range(3):
        config = config_with(optimizer__l2=index / 10, model__name=long + "a")
        write_run(tmp_path / f"r{index}", config, {"last": evaluation(0.1 + index / 50, {"gamma": float(index)})})
    far = config_with(optimizer__l2=0.77, schedule__stop_at_train_loss=0.01, model__name=long + "b")
    write_run(tmp_path / "far", far, {"last": evaluation(0.3, {"gamma": 1.0}, train_loss=2.0)})
    write_run(tmp_path / "fresh", config_with(optimizer__momentum=0.123, model__name=long + "a"), None)
    comparison = compare(CompareRequest((str(tmp_path),), html=tmp_path / "page.html"))
    text = text_of(tmp_path / "page.html")
    assert all(part in text for part in ("(far)", "(fresh)", "0.77", "0.123", long + "a", long + "b"))
    table = differing_settings(comparison)
    assert [row[0].text for row in table.rows] == ["r0", "r1", "r2", "(far)", "(fresh)"]
    assert {"optimizer.l2", "optimizer.momentum", "schedule.stop_at_train_loss", "model.name"} <= set(table.head)
    shared = {row[0].text for row in shared_settings(comparison).rows}
    assert shared.isdisjoint(table.head)
    assert shared | set(table.head[1:]) == set(comparison.included[0].config)


def test_long_names_may_break_at_underscores_and_stay_escaped(tmp_path: Path) -> None:
    for index in range(3):
        found = evaluation(0.1 + index / 50, {"one_<b>_name": float(index)})
        write_run(tmp_path / f"r{index}", config_with(optimizer__l2=index / 10), {"last": found})
    compare(CompareRequest((str(tmp_path),), html=tmp_path / "page.html"))
    assert ">one_<wbr>&lt;b&gt;_<wbr>name</th>" in (tmp_path / "page.html").read_text(encoding="utf-8")
