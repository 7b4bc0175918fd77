"""The CSV table of a comparison: `judge` computes the same statistics from it again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cli import CommandLine
from fake_runs import CONVENTION, config_with, evaluation, grid_of_runs, write_run
from scipy import stats
from tolerances import CLOSED_FORM

from infomcr_cli.compare import CompareRequest, compare
from infomcr_cli.report import judge
from infomcr_cli.report.comparison import Comparison
from infomcr_cli.report.judge_table import judge_file


def without_notes(document: dict[str, Any]) -> dict[str, Any]:
    """The part of a document that a table can give again."""
    keys = ("n", "rows", "n_test", "seed", "resamples", "confidence", "rank_by", "significant_digits")
    return {key: document[key] for key in (*keys, "measures", "references")}


def test_judge_reproduces_the_ranking_of_a_compare_csv(command_line: CommandLine, tmp_path: Path) -> None:
    grid_of_runs(tmp_path / "runs")
    command_line("compare", "runs", "--csv", "t.csv", "--sort", "noise", "--no-tracking")
    compared = json.loads(command_line("compare", "runs", "--no-tracking", "--json").out)
    axes = ",".join(compared["axes"])
    again = json.loads(command_line("judge", "t.csv", "--gap", "gap_error", "--axes", axes, "--json").out)
    assert without_notes(again) == without_notes(compared)
    assert again["measures"]["gamma"]["direction"] == "lower"
    assert again["n_test"] == 400


@pytest.mark.parametrize("gap", ["error", "loss", "test_error"])
def test_judge_reproduces_mixed_incomplete_and_hostile_tables(tmp_path: Path, gap: str) -> None:
    """Excluded runs, missing values, mixed conventions, directions, absent and empty settings, hostile names."""
    rng = np.random.default_rng(0)
    for index in range(12):
        names = ("gamma", "margin", "compute", "test_sharpness", "optimizer.l2", "=cmd()", "twin")
        measures = {name: float(rng.normal()) for name in names}
        convention = CONVENTION | {"draws": 100 if index == 3 else 10}
        missed = {"reached_target": index != 7}
        found = evaluation(
            float(rng.integers(0, 5)) / 20, measures, convention=convention, n_test=300 + index, **missed
        )
        found["measures"]["margin"]["direction"] = "higher"
        found["measures"]["twin"] = found["measures"]["gamma"]
        found["measures"]["train_loss"] = {"value": float(rng.normal()), "convention": {"batch_norm": "inference"}}
        if index % 4 == 0:
            found["measures"]["gamma"] = {"value": None}
            del found["measures"]["compute"]
        if index == 7:
            found["measures"]["apart_alone"] = {"value": 1.0}
        changes = {
            "optimizer__l2": (0.1 * 3, 0.3, 0.5)[index % 3],
            "model__name": ("null", "1e-3", "=a", "-b")[index // 3],
        }
        config = config_with(**changes, seed=index % 2)
        if index in (1, 2):
            del config["model"]["widths"]
        else:
            config["model"]["widths"] = None if index % 5 else [8, 16]
        write_run(tmp_path / "runs" / f"-r{index}", config, {"last": found})
    options = CompareRequest(
        (str(tmp_path / "runs"),), gap=gap, allow_mixed=True, csv=tmp_path / "t.csv", sort="margin"
    )
    compared = compare(options).to_dict()
    column = gap if gap == "test_error" else f"gap_{gap}"
    again = judge_file(tmp_path / "t.csv", gap=column, axes=list(compared["axes"])).to_dict()
    assert without_notes(again) == without_notes(compared)
    assert again["left_out"]["not_in_verdict"] == 1
    assert again["left_out"]["measures"].keys() == compared["left_out"]["measures"].keys()
    assert any("different conventions" in note for note in again["notes"])


def test_statistics_equal_those_of_the_written_csv(tmp_path: Path) -> None:
    runs = grid_of_runs(tmp_path / "runs")
    found = compare(CompareRequest((f"{runs}/*",), csv=tmp_path / "table.csv")).to_dict()
    frame = pd.read_csv(tmp_path / "table.csv")
    axes = list(found["axes"])
    other = judge(frame, gap="gap_error", axes=axes, measures=["gamma", "noise"], n_test=400).to_dict()
    for name in ("gamma", "noise"):
        for statistic in ("kendall_tau", "spearman_rho", "granulated_psi", "conditional_information", "sign_error"):
            mine, theirs = found["measures"][name][statistic], other["measures"][name][statistic]
            key = "mean" if statistic == "sign_error" else "value"
            assert mine[key] == (None if theirs[key] is None else pytest.approx(theirs[key], abs=CLOSED_FORM))
    averaged = frame.groupby(axes)[["gamma", "gap_error"]].mean()
    tau = stats.kendalltau(averaged["gamma"], averaged["gap_error"]).statistic
    assert found["measures"]["gamma"]["kendall_tau"]["value"] == pytest.approx(tau, abs=CLOSED_FORM)


def test_csv_states_the_convention_of_each_value_of_a_mixed_measure(mixed: Comparison) -> None:
    csv, html = (Path(path) for path in mixed.files)
    frame = pd.read_csv(csv)
    assert frame["gamma convention"].tolist() == ["draws=10"] * 15 + ["draws=100"]
    assert not any(name.startswith(("other convention", "train_loss convention")) for name in frame)
    assert html.read_text(encoding="utf-8").count(">gamma*<") == 1  # in the ranking; ψ of a single axis has no table
