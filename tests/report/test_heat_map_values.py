"""Cells of heat maps have their values on the page: on hover, and by the arrow keys."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from chromium import answer_of, needs_chromium

from infomcr_cli.report.comparison import Comparison
from infomcr_cli.report.page import write_page
from infomcr_cli.report.plots.style import Plot
from infomcr_cli.report.tables import format_stat

MOVE = """
const svg = document.querySelector("svg[data-picture=psi]"), out = {};
svg.closest("details").open = true;
const texts = () => Array.from(document.querySelectorAll(".tip div"), (one) => one.textContent);
const press = (key) => svg.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
const view = svg.getBoundingClientRect(), scale = view.width / svg.viewBox.baseVal.width;
const on = (x, y) => ({ clientX: view.left + x * scale, clientY: view.top + y * scale });
const at = (x, y) => svg.dispatchEvent(new PointerEvent("pointermove", on(x, y)));
"""


def test_each_cell_says_the_value_that_is_written_in_it(comparison: Comparison, plots: Sequence[Plot]) -> None:
    psi = next(one for one in plots if one.name == "psi")
    by_name = {one.name: one for one in (*comparison.ranking.measures, *comparison.ranking.controls)}
    assert [mark.label for mark in psi.marks] == list(by_name)
    for mark in psi.marks:
        one = by_name[mark.label]
        value = one.oriented("granulated_psi")
        assert mark.texts[-1] == f"ψ, Ψ: {format_stat(value)}"
        assert len(mark.texts) == len(mark.x) == len(mark.y)


@needs_chromium
def test_the_pointer_and_the_keys_show_the_value_of_a_cell(
    comparison: Comparison, plots: Sequence[Plot], tmp_path: Path
) -> None:
    psi = next(one for one in plots if one.name == "psi")
    first, second = psi.marks[0], psi.marks[1]
    path = tmp_path / "page.html"
    write_page(comparison, plots, path)
    left, top = psi.panels[0].place(second.x[-1], second.y[-1])
    found = answer_of(
        path,
        MOVE
        + f"""
        at({left + 12}, {top + 6});
        out.pointed = texts();
        press("Home");
        out.home = texts();
        press("ArrowRight");
        out.right = texts();
        press("ArrowDown");
        out.down = texts();
        out.spoken = document.querySelector(".spoken").textContent;
        return out;
        """,
    )
    assert found["pointed"] == [second.label, second.texts[-1]]
    assert found["home"] == [first.label, first.texts[0]]
    assert found["right"] == [first.label, first.texts[1]]
    assert found["down"] == [second.label, second.texts[1]]
    assert found["spoken"] == f"{second.label}. {second.texts[1]}"


@needs_chromium
def test_a_malformed_address_leaves_the_page_alive(
    comparison: Comparison, plots: Sequence[Plot], tmp_path: Path
) -> None:
    path = tmp_path / "page.html"
    write_page(comparison, plots, path)
    found = answer_of(
        path,
        """
        location.hash = "#%";
        window.dispatchEvent(new HashChangeEvent("hashchange"));
        return document.querySelectorAll("button").length > 0;
        """,
    )
    assert found is True
