"""Compute beside error: what training cost, by a loop over its steps, wherever a comparison is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from fake_runs import REG_ON, STEPS_PER_EPOCH, config_with, evaluation, grid_of_runs, write_run

from infomcr_cli.compare import CompareRequest, compare
from infomcr_cli.report.comparison import Comparison
from infomcr_cli.report.evaluated_run import compute_until
from infomcr_cli.report.tables import runs_table

EPOCHS = 3
STEPS = EPOCHS * STEPS_PER_EPOCH
BATCH = 64


def run_with(phases: str, *, passes: int = 3, name: str = "on", **schedule: object) -> tuple[dict[str, Any], list[int]]:
    """A recorded configuration, and the passes of each of its steps."""
    config = config_with()
    config["schedule"] |= schedule
    share = passes == 2
    config["reg"] = {**REG_ON, "phases": phases, "share_pass": share} if name == "on" else {"name": "off"}
    first, second = (round(share * STEPS) for share in config["schedule"]["phases"])
    digits = [phases[0 if step < first else 1 if step < second else 2] for step in range(STEPS)]
    return config, [passes if name == "on" and digit == "1" else 1 for digit in digits]


@pytest.mark.parametrize("phases", ["111", "011", "001", "100", "010"])
@pytest.mark.parametrize("passes", [2, 3])
@pytest.mark.parametrize("step", [1, 17, 18, 19, 20, 36, 37, 59, 60])
def test_only_steps_of_active_phases_cost_extra(phases: str, passes: int, step: Any) -> None:
    config, each = run_with(phases, passes=passes)
    found = compute_until(config, step=step, n_train=STEPS_PER_EPOCH * BATCH + 63)
    assert found.epochs == sum(each[:step]) / STEPS_PER_EPOCH
    assert found.images == sum(each[:step]) * BATCH


def test_plain_sgd_costs_its_epochs() -> None:
    config, _ = run_with("111", name="off")
    assert [compute_until(config, step=20 * n, n_train=20 * BATCH).epochs for n in range(4)] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("changes", "step", "n_train"),
    [
        ({}, None, 1280),
        ({}, 60, None),
        ({}, 60, 63),  # not one batch
        ({}, 61, 1280),  # more steps than the schedule has
        ({}, -1, 1280),
        ({"reg": {"name": "mine", "passes": 7}}, 60, 1280),
        ({"reg": {**REG_ON, "phases": "9" * 9}}, 60, 1280),
        ({"reg": None}, 60, 1280),
        ({"schedule": {"epochs": 3}}, 60, 1280),
        ({"schedule": []}, 60, 1280),
        ({"data": {"batch_size": 0}}, 60, 1280),
        ({"data": {"batch_size": True}}, 60, 1280),
        ({"data": {"batch_size": object()}}, 60, 1280),
    ],
)
def test_incomplete_or_contradictory_records_give_none(changes: dict[str, Any], step: Any, n_train: int | None) -> None:
    assert compute_until({**config_with(reg="on"), **changes}, step=step, n_train=n_train) is None


def test_compute_does_not_depend_on_the_run_name(tmp_path: Path) -> None:
    config, each = run_with("010")
    write_run(tmp_path / "wrn-off-plain", config, {"last": evaluation(0.1, {"gamma": 1.0})})
    (document,) = compare(CompareRequest((str(tmp_path),))).to_dict()["runs"]
    assert document["compute"] == {
        "value": sum(each) / STEPS_PER_EPOCH,
        "unit": "epochs of plain SGD",
        "image_passes": sum(each) * BATCH,
    }


@pytest.fixture(scope="module")
def compared_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Comparison, Path]:
    """Regularized from step 18 of 60 on: 60 + 2 · 42 = 144 passes, 7.2 epochs."""
    folder = tmp_path_factory.mktemp("compute")
    options = CompareRequest((str(grid_of_runs(folder / "runs")),), csv=folder / "t.csv", html=folder / "t.html")
    return compare(options), folder


def test_compute_is_shown_in_table_json_csv_and_page(compared_files: tuple[Comparison, Path]) -> None:
    found, folder = compared_files
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert {(one["settings"]["reg.name"], one["compute"]["value"]) for one in document["runs"]} == {
        ("on", 7.2),
        ("off", 3.0),
    }
    frame = pd.read_csv(folder / "t.csv")
    assert set(zip(frame["reg.name"], frame["compute"], strict=True)) == {("on", 7.2), ("off", 3.0)}
    table = runs_table(found)
    at = table.head.index("compute, epochs")
    assert table.head[at - 1] == "seeds"
    assert {row[at] for row in table.rows} == {"7.2", "3"}
    page = (folder / "t.html").read_text()
    assert '<th scope="col">compute, epochs</th>' in page
    assert "<td>7.2</td>" in page
    assert "in epochs of plain SGD" in page


def test_compute_is_up_to_the_compared_checkpoint(compared_files: tuple[Comparison, Path]) -> None:
    _, folder = compared_files
    document = compare(CompareRequest((str(folder / "runs"),), checkpoint="epoch-0001")).to_dict()
    values = {one["settings"]["reg.name"]: one["compute"]["value"] for one in document["runs"]}
    assert values == {"on": (18 + 2 * 3) / 20, "off": 1.0}


def test_sort_by_compute_puts_runs_without_it_last(tmp_path: Path) -> None:
    for name, phases in (("a", "111"), ("b", "001")):
        write_run(tmp_path / name, run_with(phases)[0], {"last": evaluation(0.1, {"gamma": 1.0})})
    config = config_with(optimizer__l2=0.1)
    write_run(tmp_path / "0", config, {"last": evaluation(0.1, {"gamma": 1.0}, n_train=None)})
    found = compare(CompareRequest((str(tmp_path),), sort="compute"))
    assert [run.name for run in found.included] == ["b", "a", "0"]
    assert found.to_dict()["runs"][-1]["compute"] is None
