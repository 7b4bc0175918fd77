"""What the page's script does, in a Chromium: values on hover, sorting, filtering, runs linked across pictures."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from chromium import answer_of, needs_chromium
from fake_runs import config_with, evaluation, write_run

from infomcr_cli.compare import CompareRequest, compare
from infomcr_cli.report.comparison import Comparison
from infomcr_cli.report.inline_svg import inline_svg
from infomcr_cli.report.page import write_page
from infomcr_cli.report.plots.marks import places
from infomcr_cli.report.plots.style import Plot

KEYS = """
const out = {};
const texts = (selector) => Array.from(document.querySelectorAll(selector), (one) => one.textContent);
const press = (element, key) => element.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
const type = (input, value) => { input.value = value; input.dispatchEvent(new Event("input")); };
const table = (name) => document.getElementById(name).closest("section, details").querySelector("table");
"""


def data_of(page: Path) -> dict:
    found = re.search(r'<script type="application/json" id="page-data">(.*?)</script>', page.read_text("utf-8"), re.S)
    assert found is not None
    return json.loads(found[1])


@pytest.fixture(scope="module")
def page(comparison: Comparison, plots: Sequence[Plot], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of 16 runs: 8 settings of 2 seeds."""
    path = tmp_path_factory.mktemp("page") / "page.html"
    write_page(comparison, plots, path)
    return path


def test_values_of_the_pictures_are_those_of_the_json_document(page: Path, comparison: Comparison) -> None:
    data, runs = data_of(page), {run["run"]: run for run in comparison.to_dict()["runs"]}
    single = [mark for mark in data["pictures"]["gamma-gap"]["marks"] if len(mark["runs"]) == 1]
    assert {data["runs"][mark["runs"][0]] for mark in single} == runs.keys()
    for mark in single:
        run = runs[data["runs"][mark["runs"][0]]]
        assert mark["x"] == [run["measures"]["gamma"]["value"]]
        assert mark["y"] == [100 * run["gap"]["error"]]


def test_names_cannot_end_the_data_of_the_script(tmp_path: Path) -> None:
    ends = "</script><script>alert(1)</script>"
    for index in range(4):
        found = evaluation(0.1 + index / 50, {"gamma": float(index), f"{ends}<!--": float(index**2)})
        write_run(tmp_path / f"<!--<script>{index}", config_with(model__name=f"{ends}{index}"), {"last": found})
    path = tmp_path / "page.html"
    compare(CompareRequest((str(tmp_path),), html=path))
    text = path.read_text("utf-8")
    assert text.count("<script") == text.count("</script>") == 2
    data = data_of(path)
    assert data["runs"] == [f"<!--<script>{index}" for index in range(4)]
    assert data["pictures"]["measures"]["panels"][0]["labels"][0].startswith("</script>")
    inside = re.search(r'id="page-data">(.*?)</script>', text, re.S)
    assert inside is not None
    assert not {*"<>&'"} & {*inside[1]}


def test_inlined_pictures_need_no_style_and_share_no_id(page: Path, plots: Sequence[Plot]) -> None:
    text = page.read_text("utf-8")
    assert " style=" not in text
    assert text.count("<style>") == text.count("</style>") == 1
    ids = re.findall(r'\sid="([^"]*)"', text)
    assert len(ids) == len({*ids})
    references = {*re.findall(r'(?:url\(|href=")#([^")]+)', text)}
    assert references <= {*ids}
    gamma = next(one for one in plots if one.name == "gamma-gap")
    once = inline_svg(gamma.svg, "other", "<b>", "&")
    assert "<b>" not in once
    assert "&lt;b&gt;" in once


@needs_chromium
def test_keys_lead_from_value_to_value_and_mark_runs_everywhere(page: Path, plots: Sequence[Plot]) -> None:
    plot = next(one for one in plots if one.name == "gamma-gap")
    found = answer_of(
        page,
        KEYS
        + """
        const svg = document.querySelector("svg[data-picture=gamma-gap]");
        out.label = svg.getAttribute("aria-label");
        svg.focus();
        press(svg, "End");
        out.tip = texts(".tip div");
        out.spoken = document.querySelector(".spoken").textContent;
        press(svg, "Enter");
        svg.blur();
        out.pinned = texts("tr.on th");
        out.pressed = document.querySelectorAll("button.pin[aria-pressed=true]").length;
        out.marked = {};
        document.querySelectorAll("svg.picture").forEach((one) => {
          const marks = Array.from(one.querySelectorAll(".on"), (on) => on.dataset.mark);
          out.marked[one.dataset.picture] = new Set(marks).size;
        });
        press(document, "Escape");
        out.after = document.querySelectorAll(".on").length;
        const view = svg.getBoundingClientRect(), scale = view.width / svg.viewBox.baseVal.width;
        out.centres = Array.from(svg.querySelectorAll("[data-mark] use")).map((use) => {
          const box = use.getBoundingClientRect();
          const [x, y] = [(box.left + box.right) / 2 - view.left, (box.top + box.bottom) / 2 - view.top];
          return [use.closest("[data-mark]").dataset.mark, x / scale, y / scale];
        });
        return out;
        """,
    )
    mark = plot.marks[-1]
    assert found["tip"][0] == mark.label
    assert found["tip"][1].startswith(f"error gap, %: {mark.y[0]:.6g}"[:18])
    assert found["spoken"].startswith(mark.label)
    assert "Arrow keys" in found["label"]
    assert found["pressed"] >= 2  # in the table of settings and in those of every run
    assert found["marked"]["gamma-gap"] == 3  # the mean and its two seeds
    assert {"training", "gamma", "spectra"} <= {name for name, count in found["marked"].items() if count}
    assert found["after"] == 0
    drawn = [(int(number), x, y) for number, x, y in found["centres"]]
    for number, x, y in drawn:  # where the browser has drawn a marker is where the script looks for it
        assert [x, y] == pytest.approx(places(plot.panels[0], plot.marks[number])[0], abs=0.6)
    assert {number for number, _, _ in drawn} == {*range(len(plot.marks))}


@needs_chromium
def test_tables_are_sorted_and_filtered(page: Path, comparison: Comparison) -> None:
    limit = sorted(run.value("gamma") or 0.0 for run in comparison.included if "run-on" in run.name)[3] + 0.5
    found = answer_of(
        page,
        KEYS
        + """
        const every = table("every-run"), column = 1;
        const rows = () => Array.from(every.tBodies[0].rows);
        const shown = () => rows().filter((row) => !row.hidden).map((row) => row.cells[0].title);
        const head = every.tHead.rows[0].cells[column];
        head.querySelector("button").click();
        out.up = [head.getAttribute("aria-sort"), shown()];
        head.querySelector("button").click();
        out.down = [head.getAttribute("aria-sort"), shown()];
        head.querySelector("button").click();
        out.none = [head.getAttribute("aria-sort"), shown()];
        const box = every.parentElement.previousElementSibling, input = box.querySelector("input");
        out.hint = input.placeholder;
        out.hints = Array.from(document.querySelectorAll(".filter input"), (one) => {
          const word = /^such as (\\S+)<0 or/.exec(one.placeholder);
          if (!word) return true;
          const rows = Array.from(one.closest(".filter").nextElementSibling.querySelectorAll("tbody tr"));
          type(one, `${word[1]}<1e999`);
          const below = rows.filter((row) => !row.hidden).length;
          type(one, `${word[1]}>=-1e999`);
          const above = rows.filter((row) => !row.hidden).length;
          type(one, "");
          return Math.max(below, above) > rows.length / 2;
        });
        out.label = box.querySelector("label").htmlFor === input.id;
        type(input, "gamma<LIMIT run-on -seed");
        const status = box.querySelector("output");
        out.filtered = [shown(), status.textContent.trim(), status.getAttribute("role")];
        out.linked = document.querySelectorAll("svg[data-picture=gamma-gap] .on").length > 0;
        type(input, "nothing like it");
        out.nothing = [shown(), status.textContent.trim()];
        type(input, "");
        out.all = shown().length;
        out.unlinked = document.querySelectorAll(".on").length;
        return out;
        """.replace("LIMIT", str(limit)),
    )
    gamma = {run.name: run.value("gamma") or 0.0 for run in comparison.included}
    names = [run.name for run in comparison.included]
    assert found["none"] == ["none", names]
    for way, sign in (("up", 1), ("down", -1)):
        assert found[way][0] == ("ascending" if sign > 0 else "descending")
        shown = [sign * round(gamma[name]) for name in found[way][1]]
        assert all(one <= other + 1 for one, other in pairwise(shown))  # of numbers as shown
    kept = [name for name in names if round(gamma[name], 1) < limit and "run-on" in name]
    assert 0 < len(kept) < len(names)
    assert sorted(found["filtered"][0]) == sorted(kept)
    assert found["filtered"][1:] == [f"{len(kept)} of 16 rows", "status"]
    assert found["linked"]
    assert found["hint"].startswith("such as gamma<0 or")
    assert len(found["hints"]) > 1
    assert all(found["hints"])
    assert found["nothing"] == [[], "0 of 16 rows"]
    assert (found["all"], found["unlinked"]) == (16, 0)
    assert found["label"]


@needs_chromium
@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_is_off_the_screen(page: Path, width: int) -> None:
    widest, wide = answer_of(
        page,
        """
        document.querySelectorAll("details").forEach((one) => { one.open = true; });
        return [document.documentElement.scrollWidth, document.documentElement.clientWidth];
        """,
        width=width,
    )
    assert widest <= wide
