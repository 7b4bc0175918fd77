"""Tables of a comparison: legible at any width, mixed conventions marked, names safe to print."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.cells import cell_len
from rich.console import Console

from infomcr_cli.compare import CompareRequest, compare
from infomcr_cli.report import judge
from infomcr_cli.report.comparison import Comparison
from infomcr_cli.report.tables import format_number, psi_table, ranking_table, runs_table
from infomcr_cli.report.terminal import comparison_renderables


def printed(comparison: Comparison, width: int) -> str:
    text = StringIO()
    console = Console(file=text, width=width)
    for part in comparison_renderables(comparison, width):
        console.print(part)
    return text.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_tables_fit_the_terminal_and_show_every_cell(comparison: Comparison, width: int) -> None:
    text = printed(comparison, width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert "\x1b" not in text
    together = re.sub(r"\s+", "", text)
    for table in (runs_table(comparison), ranking_table(comparison.ranking)):
        shown = [cell for row in (table.head, *table.rows) for cell in row]
        if width >= 80:
            assert all(re.sub(r"\s+", "", cell) in together for cell in shown)
    assert "±" in text


def test_replicates_are_shown_as_mean_and_standard_deviation(comparison: Comparison) -> None:
    table = runs_table(comparison)
    frame = pd.DataFrame(table.rows, columns=list(table.head))
    assert len(frame) == 8
    members = [run for run in comparison.included if run.name.startswith("run-off-0.1-32")]
    values = pd.Series([run.evaluation.measures["gamma"].value for run in members])
    shown = frame.loc[frame["run"].str.startswith("run-off-0.1-32"), "gamma"].item()
    assert shown == f"{values.mean():.3g} ± {values.std():.2g}"


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (float("nan"), "–"), (0.12345, "0.123"), (1.5e6, "1.5e+06")])
def test_format_number_keeps_three_significant_digits(value: float | None, text: str) -> None:
    assert format_number(value) == text


def test_tables_mark_measures_of_mixed_conventions(mixed: Comparison) -> None:
    assert "gamma*" in runs_table(mixed).head
    for table in (ranking_table(mixed.ranking), psi_table(mixed.ranking)):
        names = [row[0] for row in table.rows]
        assert "gamma*" in names
        assert {"gamma", "other*"}.isdisjoint(names)
    behind = {row[0]: row[-1] for row in ranking_table(mixed.ranking).rows}
    assert behind["gamma*"] == "best"
    assert re.search(r"\]\*( significant)?$", behind["other"])
    assert mixed.to_dict()["measures"]["other"]["against_best"]["mixed_conventions"] is True


@pytest.mark.parametrize(
    ("sort", "symbol"), [(None, "τ"), ("rho", "ρ"), ("psi", "Ψ"), ("k", "τ"), ("sign_error", "sign error")]
)
def test_last_heading_names_the_compared_statistic(comparison: Comparison, sort: str | None, symbol: str) -> None:
    sorted_by = compare(CompareRequest(tuple(str(run.directory.path) for run in comparison.included), sort=sort))
    assert ranking_table(sorted_by.ranking).head[-1] == f"behind the best in {symbol}"


def test_statistic_without_an_interval_is_shown_with_a_dash() -> None:
    frame = pd.DataFrame({"lr": range(9), "gap": np.arange(9) / 10, "mu": np.arange(9.0), "nu": -np.arange(9.0)})
    table = ranking_table(judge(frame, gap="gap", axes=["lr"], rank_by="granulated_psi"))
    first, second = (dict(zip(table.head, row, strict=True)) for row in table.rows[:2])
    assert first["Ψ"] == "1.00 [–] (1)"
    assert second["behind the best in Ψ"] == "2.00 [–]"


def test_hostile_names_are_safe_in_terminal_and_csv(hostile: Path, tmp_path: Path) -> None:
    found = compare(CompareRequest((str(hostile),), csv=tmp_path / "t.csv"))
    text = printed(found, 200)
    assert "\x1b" not in text
    assert "[red]" in text
    head = pd.read_csv(tmp_path / "t.csv").columns
    assert "'=cmd()" in head
    assert not any(name.startswith("=") for name in head)
