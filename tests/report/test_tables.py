"""Tables of a comparison: legible at any width, mixed conventions marked, names safe to print."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_runs import config_with, evaluation, write_run
from rich.cells import cell_len
from rich.console import Console

from infomcr_cli.compare import CompareRequest, compare
from infomcr_cli.report import judge
from infomcr_cli.report.comparison import Comparison
from infomcr_cli.report.ranking_table import psi_table, ranking_table
from infomcr_cli.report.tables import TextTable, format_number, format_p_value, runs_table, with_error
from infomcr_cli.report.terminal import text_tables


def printed(comparison: Comparison, width: int) -> str:
    text = StringIO()
    console = Console(file=text, width=width)
    for part in comparison.renderables(width):
        console.print(part)
    return text.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_tables_fit_the_terminal_and_show_every_cell(comparison: Comparison, width: int) -> None:
    text = printed(comparison, width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert "\x1b" not in text
    together = re.sub(r"\s+", "", text)
    for table in (runs_table(comparison), ranking_table(comparison.ranking)):
        cells = [part for row in table.rows for cell in row for part in re.split("(?<= )", cell)]
        words = [word for head in table.head for word in re.split(r"(?<=[_ ,/])", head)]
        if width >= 80:
            assert all(re.sub(r"\s+", "", text) in together for text in (*cells, *words))
    assert "±" in text


def test_replicates_are_shown_as_mean_and_standard_deviation(comparison: Comparison) -> None:
    table = runs_table(comparison)
    frame = pd.DataFrame(table.rows, columns=list(table.head))
    assert len(frame) == 8
    assert set(frame["seeds"]) == {"2"}
    members = [run for run in comparison.included if run.name.startswith("run-off-0.1-32")]
    values = pd.Series([run.evaluation.measures["gamma"].value for run in members])
    shown = frame.loc[frame["run"] == "batch_size=32 learning_rate=0.1 reg=off", "gamma, nats"].item()
    assert shown == with_error(values.mean(), values.std())
    assert "standard deviation over seeds" in table.caption


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (float("nan"), "–"), (0.12345, "0.123"), (1.5e6, "1.5e+06")])
def test_format_number_keeps_three_significant_digits(value: float | None, text: str) -> None:
    assert format_number(value) == text


def test_tables_mark_measures_of_mixed_conventions(mixed: Comparison) -> None:
    assert "gamma*, nats" in runs_table(mixed).head
    names = [row[0] for row in ranking_table(mixed.ranking).rows]
    assert "gamma*" in names
    assert {"gamma", "other*"}.isdisjoint(names)
    behind = {row[0]: row[-1] for row in ranking_table(mixed.ranking).rows}
    assert behind["gamma*"] == "best"
    assert re.fullmatch(r"\d\.\d\d\* \(p [^)]*\)( significant)?", behind["other"])
    assert mixed.to_dict()["measures"]["other"]["against_best"]["mixed_conventions"] is True


@pytest.mark.parametrize(("sort", "symbol"), [(None, "τ"), ("rho", "ρ"), ("psi", "Ψ"), ("k", "τ"), ("sign_error", "τ")])
def test_last_heading_names_the_compared_statistic(ranked: Comparison, sort: str | None, symbol: str) -> None:
    sorted_by = compare(CompareRequest(tuple(str(run.directory.path) for run in ranked.included), sort=sort))
    assert ranking_table(sorted_by.ranking).head[-1] == f"behind the best in {symbol}"


def test_statistic_without_an_interval_is_shown_with_a_dash() -> None:
    frame = pd.DataFrame({"lr": range(20), "gap": np.arange(20) / 10, "mu": np.arange(20.0), "nu": -np.arange(20.0)})
    frame.loc[8:, "nu"] = np.nan
    table = ranking_table(judge(frame, gap="gap", axes=["lr"]))
    rows = {row[0]: dict(zip(table.head, row, strict=True)) for row in table.rows}
    assert rows["mu"]["τ"].startswith("1.00 [0.")
    assert (rows["nu"]["τ"], rows["nu"]["n"]) == ("-1.00 [–]", "8")
    assert rows["nu"]["behind the best in τ"] == "–"


def test_fewer_than_16_minima_give_no_interval_no_order_and_no_controls(comparison: Comparison) -> None:
    table = ranking_table(comparison.ranking)
    assert [row[0] for row in table.rows] == ["gamma", "noise"]  # as they were measured
    assert not any("[" in cell or "best" in cell or "significant" in cell for row in table.rows for cell in row)
    assert any("8 minima are too few" in note for note in comparison.notes)
    document = comparison.to_dict()
    for one in (*document["measures"].values(), *document["references"].values()):
        assert one["kendall_tau"]["low"] is one["granulated_psi"]["high"] is one["against_best"] is None


def test_constant_measures_and_axes_without_groups_take_no_room(comparison: Comparison) -> None:
    table = runs_table(comparison)
    assert not any(name.startswith("width") for name in table.head)
    assert "width 1" in table.caption
    assert "Not shown, because they do not vary: width" in ranking_table(comparison.ranking).caption
    frame = pd.DataFrame({"a": range(16), "b": range(16), "gap": range(16), "mu": range(16)})
    assert psi_table(judge(frame, gap="gap", axes=["a", "b"])).rows == ()


def test_values_are_positive_if_a_measure_ranks_as_its_direction_claims() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame([(a, b) for a in range(4) for b in range(5)], columns=["a", "b"])
    frame["gap"] = rng.normal(0.3, 0.1, 20)
    frame["down"] = frame["gap"] + 0.05 * rng.normal(size=20)
    frame["up"] = -frame["down"]
    ranking = judge(frame, gap="gap", axes=["a", "b"], n_test=10_000, directions={"up": "higher"})
    table = ranking_table(ranking)
    rows = {row[0]: row[2:-1] for row in table.rows}
    assert rows["up"] == rows["down"]
    assert rows["up"][0].startswith("0.")
    raw = ranking.to_dict()["measures"]["up"]
    assert raw["kendall_tau"]["value"] == -raw["oriented"]["kendall_tau"]["value"] < 0
    assert raw["kendall_tau"]["low"] == -raw["oriented"]["kendall_tau"]["high"]


def test_sorted_column_comes_first(comparison: Comparison) -> None:
    paths = tuple(str(run.directory.path) for run in comparison.included)
    for sort, head in (("gamma", "gamma, nats"), ("gap", "error gap, %"), ("data.batch_size", "data.batch_size")):
        assert runs_table(compare(CompareRequest(paths, sort=sort))).head[:3] == ("#", "run", head)


def test_long_names_are_broken_at_underscores() -> None:
    text = StringIO()
    names = ["frobenius_product_over_margin", "pac_bayes_magnitude_origin", "distance_from_initialization"]
    table = TextTable("Runs", ("run", *names), (("run-0", "1", "2", "3"),))
    console = Console(file=text, width=40)
    for part in text_tables(table, 40):
        console.print(part)
    lines = [line.strip() for line in text.getvalue().splitlines()]
    for piece in (part for name in names for part in name.split("_")):
        assert any(piece in line for line in lines)


def test_hostile_names_are_safe_in_terminal_and_csv(hostile: Path, tmp_path: Path) -> None:
    found = compare(CompareRequest((str(hostile),), csv=tmp_path / "t.csv"))
    text = printed(found, 200)
    assert "\x1b" not in text
    assert "[red]" in text
    head = pd.read_csv(tmp_path / "t.csv").columns
    assert "'=cmd()" in head
    assert not any(name.startswith("=") for name in head)


def test_gamma_the_gaps_and_the_test_error_stand_beside_the_name_at_80_columns(comparison: Comparison) -> None:
    assert runs_table(comparison).head[:5] == ("#", "run", "gamma, nats", "error gap, %", "test error, %")
    first_block = printed(comparison, 80).split("\n1 ")[0]
    assert {"gamma,", "error"} <= set(first_block.split())


def test_single_run_keeps_its_name_unless_that_was_made_of_a_hash(tmp_path: Path) -> None:
    for name, decay in (("mine", 0.1), ("wrn-off-0d38e8178d34c74e", 0.2), ("20261124-191500-wrn-on-1f2e3d4c", 0.3)):
        write_run(tmp_path / name, config_with(optimizer__l2=decay), {"last": evaluation(0.1, {"gamma": decay})})
    table = runs_table(compare(CompareRequest((str(tmp_path),))))
    assert [row[1] for row in table.rows] == ["l2=0.3", "mine", "l2=0.2"]
    assert "compute, epochs" in table.head


def test_compute_that_no_run_records_takes_no_room(tmp_path: Path) -> None:
    for index in range(2):
        found = evaluation(0.1, {"gamma": float(index)}, step=None)
        write_run(tmp_path / f"r{index}", config_with(optimizer__l2=index / 10), {"last": found})
    table = runs_table(compare(CompareRequest((str(tmp_path),))))
    assert not any("compute" in text for text in (*table.head, table.caption))


def test_caption_explains_only_columns_that_are_there() -> None:
    frame = pd.DataFrame({"reg": ["on", "off"] * 3, "seed": [0, 0, 1, 1, 2, 2], "gap": range(6), "mu": range(6)})
    table = ranking_table(judge(frame, gap="gap", axes=["reg"]))
    assert table.head == ("measure", "τ", "ρ")
    assert "parentheses" not in table.caption


def test_measure_without_numbers_is_not_called_constant() -> None:
    frame = pd.DataFrame({"lr": range(20), "gap": range(20), "mu": range(20), "flat": 1.0, "none": np.nan})
    caption = ranking_table(judge(frame, gap="gap", axes=["lr"])).caption
    assert "because they do not vary: flat" in caption
    assert "because they have fewer than 3 values: none" in caption


@pytest.mark.parametrize("constant", ["gap", "mu"])
def test_nothing_to_rank_is_said_instead_of_a_table_of_controls(constant: str) -> None:
    frame = pd.DataFrame({"lr": range(20), "gap": np.arange(20) / 20, "mu": range(20)})
    ranking = judge(frame.assign(**{constant: 1.0}), gap="gap", axes=["lr"])
    assert ranking_table(ranking).rows == ()
    assert ranking.notes[0].startswith("Nothing to rank:")


def test_p_values_show_on_which_side_of_5_percent_they_are() -> None:
    for value in (0.0496, 0.04996, 0.049999, 0.0501, 0.05, 0.2, 0.0004):
        for kind, digits in (("g", 2), ("f", 3)):
            text = format_p_value(value, kind, digits)
            assert (float(text.removeprefix("< ")) < 0.05) is (value < 0.05)
    assert format_p_value(0.123456) == "0.12"


def test_caption_says_that_differences_are_of_tau_if_the_ranking_statistic_has_no_interval() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": np.arange(32) % 8, "b": np.arange(32) // 8, "gap": rng.random(32)})
    frame["mu"], frame["nu"] = rng.normal(size=(2, 32))
    for rank_by, said in (("conditional_information", True), ("granulated_psi", False)):
        ranking = judge(frame, gap="gap", axes=["a", "b"], rank_by=rank_by)
        assert ("differences from the best are of τ" in ranking_table(ranking).caption) is said
