"""`judge` on published tables, against values that were computed independently of it."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from infomcr_cli.report.judge_table import judge_file

TABLES = Path(__file__).parent / "tables"
# K to 6 decimals and τ-b to 3, see tables/README.md
TASK_1 = {"vpm_1": (0.057475, 0.500), "vpm_80": (0.052297, 0.504), "vr": (0.087400, 0.544), "wcv": (0.271096, 0.786)}
TASK_2 = {"vpm_1": (0.050538, 0.533), "vpm_80": (0.159550, 0.646), "vr": (0.176252, 0.751), "wcv": (0.329056, 0.693)}


def axes_of(path: Path) -> list[str]:
    with path.open(newline="") as file:
        return [name for name in next(csv.reader(file)) if name.startswith("axis")]


@pytest.mark.parametrize(("task", "n", "known"), [(1, 96, TASK_1), (2, 54, TASK_2)])
def test_tau_and_k_of_published_tables_equal_known_values(
    task: int, n: int, known: dict[str, tuple[float, float]]
) -> None:
    path = TABLES / f"pgdl_task{task}.csv"
    found = judge_file(path, gap="gap", axes=axes_of(path), n_test=10_000).to_dict()
    assert found["n"] == n
    assert set(found["measures"]) == set(known)  # the names of the models are not a measure
    assert set(found["left_out"]["columns"]) == {"model"}
    for name, (k, tau) in known.items():
        assert round(found["measures"][name]["conditional_information"]["value"], 6) == k
        assert round(found["measures"][name]["kendall_tau"]["value"], 3) == tau
