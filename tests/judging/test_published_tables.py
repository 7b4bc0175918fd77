"""`judge` on published tables, against values that were computed independently of it."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest
import reference_statistics as reference
from tolerances import CLOSED_FORM

from infomcr_cli.report import judge
from infomcr_cli.report.judge_table import judge_file

TABLES = Path(__file__).parent / "tables"
PAGE = Path(__file__).parents[2] / "docs" / "published-tables.md"
# K to 6 decimals, τ-b to 3 and the competition's score to 12, see tables/README.md
TASK_1 = {
    "vpm_1": (0.057475, 0.500, 0.060700993773),
    "vpm_80": (0.052297, 0.504, 0.056105256539),
    "vr": (0.087400, 0.544, 0.093162888051),
    "wcv": (0.271096, 0.786, 0.277451042877),
}
TASK_2 = {
    "vpm_1": (0.050538, 0.533, 0.064400298278),
    "vpm_80": (0.159550, 0.646, 0.168424760148),
    "vr": (0.176252, 0.751, 0.195814607566),
    "wcv": (0.329056, 0.693, 0.374413798762),
}
# τ-b with the gap of networks with a training accuracy of at least 0.999, seeds averaged
YANG = {
    "hessian_trace": 0.730,
    "hessian_eigenvalue": 0.687,
    "train_loss": 0.323,
    "distance_between_seeds": -0.222,
    "cka_between_seeds": -0.843,
    "mode_connectivity": -0.601,
}


def axes_of(path: Path) -> list[str]:
    with path.open(newline="") as file:
        return [name for name in next(csv.reader(file)) if name.startswith("axis")]


@pytest.mark.parametrize(("task", "n", "known"), [(1, 96, TASK_1), (2, 54, TASK_2)])
def test_tau_k_and_the_score_of_published_tables_equal_known_values(
    task: int, n: int, known: dict[str, tuple[float, float, float]]
) -> None:
    path = TABLES / f"pgdl_task{task}.csv"
    found = judge_file(path, gap="gap", axes=axes_of(path), n_test=10_000).to_dict()
    assert found["n"] == n
    assert set(found["measures"]) == set(known)  # the names of the models are not a measure
    assert set(found["left_out"]["columns"]) == {"model"}
    for name, (k, tau, score) in known.items():
        assert round(found["measures"][name]["conditional_information"]["value"], 6) == k
        assert round(found["measures"][name]["kendall_tau"]["value"], 3) == tau
        assert found["measures"][name]["pgdl_cmi"]["value"] == pytest.approx(score, abs=1e-9)


@pytest.mark.parametrize("task", [1, 2])
def test_psi_and_sign_error_of_published_tables_equal_their_definition(task: int) -> None:
    path = TABLES / f"pgdl_task{task}.csv"
    frame, axes = pd.read_csv(path), axes_of(path)
    found = judge(frame, gap="gap", axes=axes, n_test=10_000).to_dict()["measures"]
    rows = [tuple(row) for row in frame[axes].itertuples(index=False)]
    for name in TASK_1:
        mu, g = frame[name].tolist(), frame["gap"].tolist()
        assert found[name]["granulated_psi"]["value"] == pytest.approx(reference.psi(rows, mu, g)[0], abs=CLOSED_FORM)
        mean, q90, largest, pairs = reference.sign_error(rows, mu, g, 10_000)
        error = found[name]["sign_error"]
        assert (error["mean"], error["q90"], error["max"]) == pytest.approx((mean, q90, largest), abs=CLOSED_FORM)
        assert error["pairs"] == pairs


def test_tau_of_networks_that_fit_equals_known_values() -> None:
    frame = pd.read_csv(TABLES / "yang2021_width_batch.csv")
    fitting = frame[frame["train_accuracy"] >= 0.999]
    ranking = judge(fitting, gap="gap_error", axes=["batch_size", "width"], measures=list(YANG), n_test=10_000)
    assert (ranking.n, ranking.rows) == (93, 462)
    for one in ranking.measures:
        assert round(one.kendall_tau.value, 3) == YANG[one.name]


def test_training_loss_limit_turns_tau_of_the_hessian_trace() -> None:
    path = TABLES / "yang2021_width_batch.csv"
    options = {"gap": "gap_error", "axes": ["batch_size", "width"], "measures": ["hessian_trace"], "n_test": 10_000}
    found = {limit: judge_file(path, **options, max_train_loss=limit) for limit in (None, 0.1, 0.01)}
    values = {limit: (one.n, round(one.measures[0].kendall_tau.value, 3)) for limit, one in found.items()}
    assert values == {None: (182, -0.039), 0.1: (118, 0.495), 0.01: (90, 0.714)}
    assert found[0.01].left_out.high_loss == 910 - 446
    assert "Left out: 464 rows with a training loss above 0.01 or without one." in found[0.01].notes


def test_training_loss_limit_needs_the_column() -> None:
    frame = pd.DataFrame({"lr": range(4), "gap": range(4), "mu": range(4)})
    with pytest.raises(Exception, match="--max-train-loss limits must be a column of the table; got 'train_loss'"):
        judge(frame, gap="gap", axes=["lr"], max_train_loss=0.1)


def test_importance_of_an_axis_equals_omega_squared_of_the_f_statistic() -> None:
    from scipy import stats

    frame = pd.read_csv(TABLES / "pgdl_task1.csv")
    axes = axes_of(TABLES / "pgdl_task1.csv")
    found = judge(frame, gap="gap", axes=axes).to_dict()["axis_importance"]
    for axis in axes:
        groups = [part["gap"].to_numpy() for _, part in frame.groupby(axis)]
        ratio, between = stats.f_oneway(*groups).statistic, len(groups) - 1
        omega = between * (ratio - 1) / (between * (ratio - 1) + len(frame))
        assert found[axis] == pytest.approx(max(omega, 0), abs=CLOSED_FORM)
    lonely = pd.DataFrame({"lr": range(5), "same": [1] * 5, "gap": range(5), "mu": range(5)})
    assert judge(lonely, gap="gap", axes=["lr", "same"]).to_dict()["axis_importance"] == {"lr": None, "same": None}


def test_sign_errors_on_the_page_are_of_the_direction_that_tau_is_of() -> None:
    rows = [line.split("|")[1:-1] for line in PAGE.read_text(encoding="utf-8").splitlines() if " [" in line]
    found = {cells[0].strip(): (float(cells[1].split()[0]), float(cells[6])) for cells in rows if len(cells) == 8}
    assert {"cka_between_seeds", "mode_connectivity", "wcv", "oracle"} <= found.keys()
    for tau, sign_error in found.values():
        assert abs(tau) < 0.2 or (tau > 0) is (sign_error < 0.5)
