"""The page of all measures is the registry's."""

from __future__ import annotations

from pathlib import Path

from infomcr_cli.measures.base import chosen_measures
from infomcr_cli.measures.families import CHANGES, FAMILIES
from infomcr_cli.measures.page import page

PAGE = Path(__file__).parents[2] / "docs/measures.md"


def test_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == page(chosen_measures()), "Run: make docs"


def test_page_has_a_row_for_each_measure_and_a_section_for_each_family():
    lines = page(chosen_measures()).splitlines()
    for measure in chosen_measures():
        (row,) = [line for line in lines if line.startswith(f"| `{measure.name}` |")]
        assert row.replace("\\|", "").count("|") == 10
    used = {measure.family for measure in chosen_measures()}
    assert [line[4:] for line in lines if line.startswith("### ")] == [name for name in FAMILIES if name in used]
    assert all(any(line.startswith(f"- `{change}`") for line in lines) for change in CHANGES)
