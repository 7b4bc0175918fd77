"""The HTML page: no scripts, no requests, every name escaped, every number shown."""

from __future__ import annotations

from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

from fake_runs import config_with, evaluation, write_run

from infomcr_cli.compare import CompareRequest, compare
from infomcr_cli.report.comparison import Comparison
from infomcr_cli.report.page import differing_settings, shared_settings, write_page
from infomcr_cli.report.plots.style import Plot
from infomcr_cli.report.tables import psi_table, ranking_table


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def text_of(path: Path) -> str:
    parser = _Tags()
    parser.feed(path.read_text(encoding="utf-8"))
    return parser.text


def test_page_makes_no_request_and_escapes_every_name(hostile: Path, tmp_path: Path) -> None:
    compare(CompareRequest((str(hostile),), html=tmp_path / "page.html"))
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


def test_page_contains_every_setting_and_statistic(
    comparison: Comparison, plots: Sequence[Plot], tmp_path: Path
) -> None:
    write_page(comparison, plots, tmp_path / "page.html")
    parser = _Tags()
    parser.feed((tmp_path / "page.html").read_text(encoding="utf-8"))
    for run in comparison.included:
        assert all(name in parser.text for name in run.config)
    table = ranking_table(comparison.ranking)
    assert all(cell in parser.text for row in table.rows for cell in row)
    assert sum(tag == "img" for tag, _ in parser.found) == 6


def test_page_marks_nothing_without_mixed_conventions(
    comparison: Comparison, plots: Sequence[Plot], tmp_path: Path
) -> None:
    write_page(comparison, plots, tmp_path / "page.html")
    tables = text_of(tmp_path / "page.html").partition("minima, measures ranked by")[2].partition("Plots")[0]
    assert "ψ by axis" in tables
    assert "*" not in tables
    assert all("*" not in cell for row in psi_table(comparison.ranking).rows for cell in row)
    assert not comparison.to_dict()["measures"]["noise"]["against_best"]["mixed_conventions"]


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
    assert [row[0] for row in table.rows] == ["r0", "r1", "r2", "(far)", "(fresh)"]
    assert {"optimizer.l2", "optimizer.momentum", "schedule.stop_at_train_loss", "model.name"} <= set(table.head)
    shared = {row[0] for row in shared_settings(comparison).rows}
    assert shared.isdisjoint(table.head)
    assert shared | set(table.head[1:]) == set(comparison.included[0].config)


def test_long_names_may_break_at_underscores_and_stay_escaped(tmp_path: Path) -> None:
    for index in range(3):
        found = evaluation(0.1 + index / 50, {"one_<b>_name": float(index)})
        write_run(tmp_path / f"r{index}", config_with(optimizer__l2=index / 10), {"last": found})
    compare(CompareRequest((str(tmp_path),), html=tmp_path / "page.html"))
    assert ">one_<wbr>&lt;b&gt;_<wbr>name</td>" in (tmp_path / "page.html").read_text(encoding="utf-8")
