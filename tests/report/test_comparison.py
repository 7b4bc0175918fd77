"""A comparison of runs: gaps, conventions, training-loss targets, notes, order."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fake_runs import CONVENTION, config_with, evaluation, grid_of_runs, three_runs, write_run

from infomcr_cli.compare import CompareRequest, compare
from infomcr_cli.errors import InputError
from infomcr_cli.judging.left_out import LeftOut
from infomcr_cli.judging.minima import ranked_minima
from infomcr_cli.report.comparison import minima_of
from infomcr_cli.runs import Checkpoint, RunDirectory, save_checkpoint


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return grid_of_runs(tmp_path_factory.mktemp("grid") / "runs")


def test_varied_settings_are_axes_and_seeds_are_replicates(runs: Path) -> None:
    document = compare(CompareRequest((str(runs),))).to_dict()
    assert list(document["axes"]) == ["data.batch_size", "optimizer.learning_rate", "reg.name"]
    assert document["axes"]["reg.name"]["keys"][0] == "reg.name"
    assert "reg.beta" in document["axes"]["reg.name"]["keys"]
    assert document["axes"]["data.batch_size"]["values"] == ["32", "64"]
    assert (document["n"], document["rows"], len(document["runs"])) == (8, 16, 16)
    assert set(document["measures"]) == {"gamma", "noise", "width", "train_loss"}
    json.dumps(document, allow_nan=False)


@pytest.mark.parametrize("gap", ["error", "loss", "test_error"])
def test_measures_are_ranked_by_any_recorded_gap(tmp_path: Path, gap: str) -> None:
    document = compare(CompareRequest((str(three_runs(tmp_path)),), gap=gap)).to_dict()
    assert document["gap"] == gap
    assert document["measures"]["gamma"]["kendall_tau"]["value"] == pytest.approx(1.0)
    with pytest.raises(InputError, match="Did you mean 'error'"):
        compare(CompareRequest((str(tmp_path),), gap="eror"))


def test_mixed_conventions_raise_and_are_marked_if_allowed(tmp_path: Path) -> None:
    three_runs(tmp_path, convention=CONVENTION | {"draws": 100})
    with pytest.raises(InputError, match="gamma: draws=10 in run-0, run-1; draws=100 in run-2") as refusal:
        compare(CompareRequest((str(tmp_path),)))
    assert "samples" not in str(refusal.value)
    document = compare(CompareRequest((str(tmp_path),), allow_mixed=True)).to_dict()
    assert document["measures"]["gamma"]["mixed_conventions"]
    assert not document["measures"]["train_loss"]["mixed_conventions"]
    assert document["mixed_conventions"]


def test_two_runs_give_a_table_and_a_note_without_statistics(tmp_path: Path) -> None:
    three_runs(tmp_path)
    document = compare(CompareRequest((str(tmp_path / "run-0"), str(tmp_path / "run-1")))).to_dict()
    assert len(document["runs"]) == 2
    assert document["measures"]["gamma"]["kendall_tau"]["value"] is None
    assert any("at least 3" in note for note in document["notes"])


def test_measured_and_recorded_training_loss_share_a_convention(tmp_path: Path) -> None:
    three_runs(tmp_path)
    measured = evaluation(0.3, {"gamma": 5.0})
    measured["measures"]["train_loss"] = {"value": 0.01, "convention": {"batch_norm": "inference"}}
    write_run(tmp_path / "measured", config_with(optimizer__learning_rate=0.9), {"last": measured})
    assert compare(CompareRequest((str(tmp_path),))).to_dict()["n"] == 4


def test_unevaluated_runs_are_listed_with_the_eval_command(tmp_path: Path) -> None:
    three_runs(tmp_path)
    fresh = write_run(tmp_path / "fresh", config_with(optimizer__learning_rate=0.9), None)
    save_checkpoint(RunDirectory.open(fresh), "epoch-0003", Checkpoint(60, 3, {"w": np.zeros(1)}))
    write_run(tmp_path / "lost", config_with(optimizer__learning_rate=0.8), None)  # it has no checkpoint to measure
    document = compare(CompareRequest((str(tmp_path),))).to_dict()
    assert document["unevaluated"] == ["fresh", "lost"]
    assert any(note.endswith(f"`infomcr eval {fresh}`") for note in document["notes"])
    assert document["n"] == 3


@pytest.mark.parametrize("how", ["checkpoint", "status", "loss"])
def test_runs_that_missed_their_loss_target_are_excluded(tmp_path: Path, how: str) -> None:
    three_runs(tmp_path)
    config = config_with(optimizer__learning_rate=0.9, schedule__stop_at_train_loss=0.05 if how == "loss" else None)
    found = evaluation(
        9.0, {"gamma": -9.0}, train_loss=0.06, **({"reached_target": False} if how == "checkpoint" else {})
    )
    found["test"]["accuracy"] = 0.1
    write_run(tmp_path / "lazy", config, {"last": found}, **({"reached_target": False} if how == "status" else {}))
    document = compare(CompareRequest((str(tmp_path),))).to_dict()
    assert document["set_apart"] == ["lazy"]
    assert document["measures"]["gamma"]["kendall_tau"]["value"] == pytest.approx(1.0)
    assert any("target" in note for note in document["notes"])


def test_recorded_direction_changes_the_order_and_not_the_value(tmp_path: Path) -> None:
    for index in range(5):
        found = evaluation(0.1 + index / 50, {"margin": -float(index), "noise": float((index * 2) % 5)})
        found["measures"]["margin"]["direction"] = "higher"
        write_run(tmp_path / f"r{index}", config_with(optimizer__l2=index / 100), {"last": found})
    document = compare(CompareRequest((str(tmp_path),))).to_dict()
    assert next(iter(document["measures"])) == "margin"
    assert document["measures"]["margin"]["kendall_tau"]["value"] == pytest.approx(-1.0)


def test_sort_orders_runs_by_a_column_and_measures_by_a_statistic(tmp_path: Path) -> None:
    three_runs(tmp_path)
    by_noise = compare(CompareRequest((str(tmp_path),), sort="noise"))
    assert [run.name for run in by_noise.included] == ["run-1", "run-2", "run-0"]
    assert by_noise.axes[0].labels == ("0.2", "0.4", "0.1")
    assert compare(CompareRequest((str(tmp_path),), sort="psi")).ranking.rank_by == "granulated_psi"
    with pytest.raises(InputError, match="Did you mean 'noise'"):
        compare(CompareRequest((str(tmp_path),), sort="nois"))


def test_gaps_that_differ_by_rounding_are_ties(tmp_path: Path) -> None:
    for index, gap in enumerate((0.8 - 0.7, 1.0 - 0.9, 0.5)):
        config = config_with(optimizer__learning_rate=(index + 1) / 10)
        write_run(tmp_path / f"r{index}", config, {"last": evaluation(gap, {"gamma": float(index)})})
    assert 0.8 - 0.7 > 1.0 - 0.9
    found = compare(CompareRequest((str(tmp_path),))).to_dict()["measures"]["gamma"]
    assert found["kendall_tau"]["value"] == pytest.approx(2 / 6**0.5)
    assert found["conditional_information"]["pairs"] == 4
    comparison = compare(CompareRequest((str(tmp_path),)))
    minima = ranked_minima(minima_of(comparison.included, comparison.axes, "error", (), LeftOut()), average=True)
    assert minima.gap.tolist() == [1.0 - 0.9, 1.0 - 0.9, 0.5]


def test_equal_mean_gaps_are_ties(tmp_path: Path) -> None:
    for index, gaps in enumerate(((0.1, 0.7), (0.4, 0.4), (0.9, 0.9))):
        for seed, gap in enumerate(gaps):
            config = config_with(optimizer__learning_rate=(index + 1) / 10, seed=seed)
            write_run(tmp_path / f"r{index}{seed}", config, {"last": evaluation(gap, {"gamma": float(-index)})})
    found = compare(CompareRequest((str(tmp_path),))).to_dict()
    assert found["n"] == 3
    assert found["measures"]["gamma"]["kendall_tau"]["value"] == pytest.approx(-2 / 6**0.5)


def test_another_evaluated_checkpoint_can_be_compared(runs: Path) -> None:
    document = compare(CompareRequest((str(runs),), checkpoint="epoch-0001")).to_dict()
    assert set(document["measures"]) == {"gamma", "train_loss"}
    missing = compare(CompareRequest((str(runs),), checkpoint="best")).to_dict()
    assert len(missing["unevaluated"]) == 16
    assert missing["measures"] == {}


def test_huge_numbers_are_ranked_without_overflow(tmp_path: Path) -> None:
    for index, value in enumerate((-1e308, 0.0, 1e308)):
        found = evaluation(0.1 + index / 10, {"gamma": value})
        write_run(tmp_path / f"r{index}", config_with(optimizer__l2=index / 10), {"last": found})
    comparison = compare(CompareRequest((str(tmp_path),), html=tmp_path / "page.html"))
    assert comparison.to_dict()["measures"]["gamma"]["kendall_tau"]["value"] == pytest.approx(1.0)
    assert (tmp_path / "page.html").exists()


def test_compare_notes_missing_values_of_a_measure(tmp_path: Path) -> None:
    for index in range(4):
        found = evaluation(index / 10, {"gamma": float(index), **({"rare": 1.0} if index < 3 else {})})
        write_run(tmp_path / f"r{index}", config_with(optimizer__l2=index / 10), {"last": found})
    document = compare(CompareRequest((str(tmp_path),))).to_dict()
    assert document["left_out"]["measures"] == {"rare": {"rows": 1, "example": None}}
    assert any(note.startswith("rare has no number in 1 of 4 rows") for note in document["notes"])


def test_comparison_without_plots_does_not_import_matplotlib(tmp_path: Path) -> None:
    three_runs(tmp_path)
    code = (
        "import sys\nfrom infomcr_cli.compare import *\n"
        "compare(CompareRequest((sys.argv[1],)))\n"
        "print({'matplotlib', 'pandas', 'mlflow', 'tensorflow'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
