"""`compare` on generated run directories: axes, conventions, runs apart, hostile directories."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from fake_runs import CONVENTION, config_with, evaluation, grid_of_runs, write_run
from scipy import stats

from infomcr_cli.compare import CompareOptions, compare, judge_file
from infomcr_cli.errors import InputError
from infomcr_cli.judging.minima import settled
from infomcr_cli.report import judge
from infomcr_cli.report.axes import find_axes, labels_of
from infomcr_cli.report.comparison import minima_of
from infomcr_cli.report.plots.curves import Trajectory, gamma_along_training, trajectory
from infomcr_cli.runs import Checkpoint, RunDirectory, save_checkpoint


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return grid_of_runs(tmp_path_factory.mktemp("grid") / "runs")


def three_runs(root, **changes):
    """Three evaluated runs of different learning rates; `changes` are arguments of the last run's evaluation."""
    for index, lr in enumerate((0.1, 0.2, 0.4)):
        extra = changes if index == 2 else {}
        config = config_with(optimizer__learning_rate=lr)
        found = evaluation(0.1 + lr / 10, {"gamma": lr * 10, "noise": [3.0, 1.0, 2.0][index]}, **extra)
        write_run(root / f"run-{index}", config, {"last": found})
    return root


def test_the_axes_are_found_and_seeds_are_replicates(runs):
    document = compare(CompareOptions((str(runs),))).to_dict()
    assert list(document["axes"]) == ["data.batch_size", "optimizer.learning_rate", "reg.name"]
    assert document["axes"]["reg.name"]["keys"][0] == "reg.name"
    assert "reg.beta" in document["axes"]["reg.name"]["keys"]
    assert document["axes"]["data.batch_size"]["values"] == ["32", "64"]
    assert (document["n"], document["rows"], len(document["runs"])) == (8, 16, 16)
    assert set(document["measures"]) == {"gamma", "noise", "width", "train_loss"}
    json.dumps(document, allow_nan=False)


def test_the_statistics_are_those_of_the_table_that_it_writes(runs, tmp_path):
    found = compare(CompareOptions((f"{runs}/*",), csv=tmp_path / "table.csv")).to_dict()
    frame = pd.read_csv(tmp_path / "table.csv")
    axes = list(found["axes"])
    other = judge(frame, gap="gap_error", axes=axes, measures=["gamma", "noise"], n_test=400).to_dict()
    for name in ("gamma", "noise"):
        for statistic in ("kendall_tau", "spearman_rho", "granulated_psi", "conditional_information", "sign_error"):
            mine, theirs = found["measures"][name][statistic], other["measures"][name][statistic]
            key = "mean" if statistic == "sign_error" else "value"
            assert mine[key] == (None if theirs[key] is None else pytest.approx(theirs[key], abs=1e-10))
    averaged = frame.groupby(axes)[["gamma", "gap_error"]].mean()
    tau = stats.kendalltau(averaged["gamma"], averaged["gap_error"]).statistic
    assert found["measures"]["gamma"]["kendall_tau"]["value"] == pytest.approx(tau, abs=1e-10)


@pytest.mark.parametrize("gap", ["error", "loss", "test_error"])
def test_any_recorded_gap_can_judge(tmp_path, gap):
    document = compare(CompareOptions((str(three_runs(tmp_path)),), gap=gap)).to_dict()
    assert document["gap"] == gap
    assert document["measures"]["gamma"]["kendall_tau"]["value"] == pytest.approx(1.0)
    with pytest.raises(InputError, match="Did you mean 'error'"):
        compare(CompareOptions((str(tmp_path),), gap="eror"))


def test_mixed_conventions_are_refused_with_what_differs_and_marked_when_allowed(tmp_path):
    three_runs(tmp_path, convention=CONVENTION | {"draws": 100})
    with pytest.raises(InputError, match="gamma: draws=10 in run-0, run-1; draws=100 in run-2") as refusal:
        compare(CompareOptions((str(tmp_path),)))
    assert "samples" not in str(refusal.value)
    document = compare(CompareOptions((str(tmp_path),), allow_mixed=True)).to_dict()
    assert document["measures"]["gamma"]["mixed_conventions"]
    assert not document["measures"]["train_loss"]["mixed_conventions"]
    assert document["mixed_conventions"]


def test_fewer_than_three_runs_give_the_table_and_why_there_is_no_statistic(tmp_path):
    three_runs(tmp_path)
    document = compare(CompareOptions((str(tmp_path / "run-0"), str(tmp_path / "run-1")))).to_dict()
    assert len(document["runs"]) == 2
    assert document["measures"]["gamma"]["kendall_tau"]["value"] is None
    assert any("at least 3" in note for note in document["notes"])


def test_what_is_no_run_is_passed_over_with_a_line_and_a_run_is_taken_once(tmp_path):
    three_runs(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    names = (*(str(path) for path in sorted(tmp_path.iterdir())), str(tmp_path / "run-0"))
    document = compare(CompareOptions(names)).to_dict()
    assert len(document["runs"]) == 3
    assert len(document["passed_over"]) == 2
    with pytest.raises(InputError, match="Did you mean"):
        compare(CompareOptions((str(tmp_path / "run-O"),)))
    with pytest.raises(InputError, match="at least one run"):
        compare(CompareOptions((str(tmp_path / "*.txt"),)))


def test_a_pattern_without_a_match_is_refused_beside_others_too(tmp_path):
    three_runs(tmp_path)
    with pytest.raises(InputError, match="pattern"):
        compare(CompareOptions((str(tmp_path / "run-0"), str(tmp_path / "none-*"))))


def test_the_training_loss_is_one_convention_whether_it_was_asked_for_or_not(tmp_path):
    three_runs(tmp_path)
    asked = evaluation(0.3, {"gamma": 5.0})
    asked["measures"]["train_loss"] = {"value": 0.01, "convention": {"batch_norm": "inference"}}
    write_run(tmp_path / "asked", config_with(optimizer__learning_rate=0.9), {"last": asked})
    assert compare(CompareOptions((str(tmp_path),))).to_dict()["n"] == 4


def test_runs_two_below_a_directory_are_found_and_of_one_name_are_told_apart(tmp_path):
    for part in ("a", "b"):
        three_runs(tmp_path / "sweep" / part)
    document = compare(CompareOptions((str(tmp_path / "sweep"),))).to_dict()
    assert sorted({one["run"] for one in document["runs"]})[:2] == ["a/run-0", "a/run-1"]


def test_runs_that_are_not_evaluated_are_named_with_the_way_to_do_it(tmp_path):
    three_runs(tmp_path)
    fresh = write_run(tmp_path / "fresh", config_with(optimizer__learning_rate=0.9), None)
    save_checkpoint(RunDirectory.open(fresh), "epoch-0003", Checkpoint(60, 3, {"w": np.zeros(1)}))
    write_run(tmp_path / "lost", config_with(optimizer__learning_rate=0.8), None)  # it has no checkpoint to measure
    document = compare(CompareOptions((str(tmp_path),))).to_dict()
    assert document["unevaluated"] == ["fresh", "lost"]
    assert any(note.endswith(f"`infomcr eval {fresh}`") for note in document["notes"])
    assert document["n"] == 3


@pytest.mark.parametrize("how", ["checkpoint", "status", "loss"])
def test_a_run_that_missed_its_loss_target_stands_apart(tmp_path, how):
    three_runs(tmp_path)
    config = config_with(optimizer__learning_rate=0.9, schedule__stop_at_train_loss=0.05 if how == "loss" else None)
    found = evaluation(
        9.0, {"gamma": -9.0}, train_loss=0.06, **({"reached_target": False} if how == "checkpoint" else {})
    )
    found["test"]["accuracy"] = 0.1
    write_run(tmp_path / "lazy", config, {"last": found}, **({"reached_target": False} if how == "status" else {}))
    document = compare(CompareOptions((str(tmp_path),))).to_dict()
    assert document["set_apart"] == ["lazy"]
    assert document["measures"]["gamma"]["kendall_tau"]["value"] == pytest.approx(1.0)
    assert any("target" in note for note in document["notes"])


def test_a_direction_turns_the_order_and_not_the_number(tmp_path):
    for index in range(5):
        found = evaluation(0.1 + index / 50, {"margin": -float(index), "noise": float((index * 2) % 5)})
        found["measures"]["margin"]["direction"] = "higher"
        write_run(tmp_path / f"r{index}", config_with(optimizer__l2=index / 100), {"last": found})
    document = compare(CompareOptions((str(tmp_path),))).to_dict()
    assert next(iter(document["measures"])) == "margin"
    assert document["measures"]["margin"]["kendall_tau"]["value"] == pytest.approx(-1.0)


def test_runs_can_be_sorted_and_measures_ranked(tmp_path):
    three_runs(tmp_path)
    by_noise = compare(CompareOptions((str(tmp_path),), sort="noise"))
    assert [entry.name for entry in by_noise.judged] == ["run-1", "run-2", "run-0"]
    assert by_noise.axes[0].labels == ("0.2", "0.4", "0.1")
    assert compare(CompareOptions((str(tmp_path),), sort="psi")).verdict.rank_by == "granulated_psi"
    with pytest.raises(InputError, match="Did you mean 'noise'"):
        compare(CompareOptions((str(tmp_path),), sort="nois"))


def test_equal_gaps_are_ties_whatever_the_last_bits_of_their_difference(tmp_path):
    for index, gap in enumerate((0.8 - 0.7, 1.0 - 0.9, 0.5)):
        config = config_with(optimizer__learning_rate=(index + 1) / 10)
        write_run(tmp_path / f"r{index}", config, {"last": evaluation(gap, {"gamma": float(index)})})
    assert 0.8 - 0.7 > 1.0 - 0.9
    found = compare(CompareOptions((str(tmp_path),))).to_dict()["measures"]["gamma"]
    assert found["kendall_tau"]["value"] == pytest.approx(2 / 6**0.5)
    assert found["conditional_information"]["pairs"] == 4
    comparison = compare(CompareOptions((str(tmp_path),)))
    minima = settled(minima_of(comparison.judged, comparison.axes, "error"), average=True)
    assert minima.gap.tolist() == [1.0 - 0.9, 1.0 - 0.9, 0.5]


def test_equal_mean_gaps_are_ties_too(tmp_path):
    for index, gaps in enumerate(((0.1, 0.7), (0.4, 0.4), (0.9, 0.9))):
        for seed, gap in enumerate(gaps):
            config = config_with(optimizer__learning_rate=(index + 1) / 10, seed=seed)
            write_run(tmp_path / f"r{index}{seed}", config, {"last": evaluation(gap, {"gamma": float(-index)})})
    found = compare(CompareOptions((str(tmp_path),))).to_dict()
    assert found["n"] == 3
    assert found["measures"]["gamma"]["kendall_tau"]["value"] == pytest.approx(-2 / 6**0.5)


def test_another_checkpoint_can_be_compared(runs):
    document = compare(CompareOptions((str(runs),), checkpoint="epoch-0001")).to_dict()
    assert set(document["measures"]) == {"gamma", "train_loss"}
    missing = compare(CompareOptions((str(runs),), checkpoint="best")).to_dict()
    assert len(missing["unevaluated"]) == 16
    assert missing["measures"] == {}


def test_a_checkpoint_that_no_run_has_is_refused(tmp_path):
    three_runs(tmp_path)
    with pytest.raises(InputError, match=r"got 'lst'. Accepted: best, last. Did you mean 'last'"):
        compare(CompareOptions((str(tmp_path),), checkpoint="lst"))


def test_a_column_has_one_part_in_a_verdict(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("lr,gap,mu\n1,0.1,1\n2,0.2,2\n3,0.3,3\n")
    for axes, measures in ((("gap",), None), (("lr",), ("lr",)), (("lr",), ("mu", "mu"))):
        with pytest.raises(InputError, match="different columns"):
            judge_file(path, gap="gap", axes=axes, measures=measures)


def test_settings_that_change_together_are_one_axis():
    settings = [
        {"a.x": 1, "b.y": "u", "reg.name": "off", "seed": 0},
        {"a.x": 1, "b.y": "u", "reg.name": "on", "reg.beta": 1.0, "seed": 1},
        {"a.x": 2, "b.y": "v", "reg.name": "on", "reg.beta": 10.0, "seed": 2},
        {"a.x": 2, "b.y": "v", "reg.name": "off", "seed": 3},
    ]
    axes = find_axes(settings)
    assert [(axis.name, axis.keys) for axis in axes] == [("a.x", ("a.x", "b.y")), ("reg.beta", ("reg.beta",))]
    assert axes[1].labels == ("–", "1.0", "10.0", "–")


def test_values_that_differ_only_where_they_are_cut_are_two_levels():
    long = "x" * 200
    axes = find_axes([{"a.x": long + "1"}, {"a.x": long + "2"}, {"a.x": long + "1"}])
    assert axes[0].labels == ("x" * 60 + "… (1)", "x" * 60 + "… (2)", "x" * 60 + "… (1)")
    assert labels_of(["on", None, "on"]) == ("on", "–", "on")
    assert labels_of(["–", None]) == ("– (1)", "– (2)")
    assert labels_of(["a\x1b", "a\x07"]) == ("a\ufffd (1)", "a\ufffd (2)")


def test_long_settings_are_compared_whole(tmp_path):
    for index in range(4):
        config = config_with(model__name="m" * 80 + str(index % 2), optimizer__l2=index // 2 / 10)
        write_run(tmp_path / f"r{index}", config, {"last": evaluation(0.1 + index / 50, {"gamma": float(index)})})
    document = compare(CompareOptions((str(tmp_path),))).to_dict()
    assert len(document["axes"]["model.name"]["values"]) == 2
    assert document["n"] == 4


def test_gamma_along_training_keeps_to_the_convention_that_is_compared(tmp_path):
    old = CONVENTION | {"draws": 100}
    for index in range(3):
        first = evaluation(0.2, {"gamma": 1.0}, step=20)
        middle = evaluation(0.2, {"gamma": 9.0}, convention=old, step=40)
        last = evaluation(0.1 + index / 10, {"gamma": 2.0 + index})
        again = evaluation(0.1 + index / 10, {"gamma": 9.0}, convention=old)
        config = config_with(optimizer__learning_rate=(index + 1) / 10)
        checkpoints = {"epoch-0001": first, "epoch-0002": middle, "last": last, "epoch-0003": again}
        write_run(tmp_path / f"r{index}", config, checkpoints)
    comparison = compare(CompareOptions((str(tmp_path),)))
    found = trajectory(comparison.judged[0], "gamma")
    assert found == Trajectory(points=((20, 1.0), (60, 2.0)), left_out=1)
    drawn = gamma_along_training(comparison)
    assert [line.get_xdata().tolist() for line in drawn.axes[0].get_lines()] == [[20, 60]] * 3
    assert drawn.get_suptitle() == "Evaluations in other conventions, left out: 3."


def test_settings_that_are_unlike_in_every_run_stay_apart():
    axes = find_axes([{"a.x": i, "b.y": -i} for i in range(4)])
    assert [axis.name for axis in axes] == ["a.x", "b.y"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("measures.json", '{"checkpoints": {"last": {"train": {"loss": NaN}}}}', "measures.json of run-1"),
        (
            "measures.json",
            '{"checkpoints": {"last": {"measures": {"gamma": {"value": 1e999}}}}}',
            "measures.json of run-1",
        ),
        ("measures.json", '{"checkpoints": {"last": {"n_test": 1%s}}}' % ("0" * 400), "measures.json of run-1"),
        (
            "measures.json",
            '{"checkpoints": {"last": {"measures": {"g": {"value": 1%s}}}}}' % ("0" * 400),
            "measures.json",
        ),
        ("measures.json", '{"checkpoints": {"last": {"measures": {"g": {"spectrum": "x"}}}}}', "spectrum"),
        ("measures.json", '{"checkpoints": []}', "checkpoints"),
        ("measures.json", "[" * 100_000, "measures.json of run-1"),
        ("config.yaml", "a: !!python/object/apply:os.system [touch x]", "config.yaml of run-1"),
        ("config.yaml", "a: &x [1]\nb: [*x, *x]", "config.yaml of run-1"),
        ("config.yaml", "- 1", "mapping"),
        ("status.json", '{"state": "DANCING"}', "status.json of run-1"),
        ("status.json", "[]", "status.json of run-1"),
    ],
)
def test_a_hostile_file_is_refused_by_name(tmp_path, name, content, words):
    three_runs(tmp_path)
    (tmp_path / "run-1" / name).write_text(content)
    with pytest.raises(InputError, match=words):
        compare(CompareOptions((str(tmp_path / "run-1"),)))
    document = compare(CompareOptions((str(tmp_path),))).to_dict()
    assert document["n"] == 2
    assert words in document["left_out"]["runs"][str(tmp_path / "run-1")]


def test_a_link_out_of_a_run_is_refused(tmp_path):
    three_runs(tmp_path)
    os.symlink("/etc/hostname", tmp_path / "run-1" / "extra.json")
    with pytest.raises(InputError, match=r"extra\.json"):
        compare(CompareOptions((str(tmp_path / "run-1"),)))
    assert [*compare(CompareOptions((str(tmp_path),))).verdict.left_out.runs] == [str(tmp_path / "run-1")]


def test_huge_numbers_are_judged_without_overflow(tmp_path):
    for index, value in enumerate((-1e308, 0.0, 1e308)):
        found = evaluation(0.1 + index / 10, {"gamma": value})
        write_run(tmp_path / f"r{index}", config_with(optimizer__l2=index / 10), {"last": found})
    comparison = compare(CompareOptions((str(tmp_path),), html=tmp_path / "page.html"))
    assert comparison.to_dict()["measures"]["gamma"]["kendall_tau"]["value"] == pytest.approx(1.0)
    assert (tmp_path / "page.html").exists()


def test_a_table_made_elsewhere_is_judged(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("lr,gap,mu,word\n1,0.1,1,a\n2,0.2,2,b\n3,0.3,3,c\n")
    document = judge_file(path, gap="gap", axes=("lr",)).to_dict()
    assert set(document["measures"]) == {"mu"}
    assert document["measures"]["mu"]["kendall_tau"]["value"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "exists"),
        ("", "CSV"),
        ("lr,gap\n1,2\n1,2,3,4\n", "CSV"),
        (b"\xff\xfe\x00", "CSV"),
        ("lr,gap\n1,x\n", "numbers"),
        ("lr,gap,mu\n1,0.1,1,\n2,0.2,2,\n", "4 fields in row 2"),
        ("lr,gap,mu\n1,0.1,1\n\n2,0.2,2,5\n", "4 fields in row 4"),
        ("lr,gap,mu,mu\n1,0.1,1,2\n", "names of their own; got 'mu'"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused(tmp_path, content, words):
    path = tmp_path / "table.csv"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=words):
        judge_file(path, gap="gap", axes=("lr",))


def test_a_row_longer_than_the_head_line_ends_the_command_with_2(command_line, tmp_path):
    (tmp_path / "table.csv").write_text("lr,gap,mu\n1,0.1,1,\n2,0.2,2,\n3,0.3,3,\n")
    answer = command_line("judge", "table.csv", "--gap", "gap", "--axes", "lr", "--json")
    assert (answer.code, answer.out) == (2, "")
    assert "4 fields in row 2" in answer.err


def test_short_rows_and_columns_without_a_heading_are_read(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("lr,gap,mu,more,,\n1,0.1,1,1,,\n2,0.2,2\n3,0.3,3,5,,\n")
    found = judge_file(path, gap="gap", axes=("lr",), measures=("mu", "more")).to_dict()["measures"]
    assert (found["mu"]["n"], found["more"]["n"]) == (3, 2)


def test_the_comparison_is_recorded_with_its_runs_numbers_and_files(tmp_path, monkeypatch):
    three_runs(tmp_path)
    seen = {}

    def log_comparison(store, name, runs, metrics, artifacts):
        files = {path.name: path.read_bytes() for path in artifacts}
        seen.update(store=store, runs=[run.name for run in runs], metrics=metrics, files=files)
        return "abc"

    monkeypatch.setattr("infomcr_cli.tracking.client.log_comparison", log_comparison)
    options = CompareOptions((str(tmp_path),), tracking=True, tracking_uri="http://127.0.0.1:1")
    document = compare(options).to_dict()
    assert document["mlflow_run_id"] == "abc"
    assert seen["store"].uri == "http://127.0.0.1:1"
    assert seen["runs"] == ["run-0", "run-1", "run-2"]
    assert seen["metrics"]["gamma/kendall_tau"] == pytest.approx(1.0)
    assert {"table.csv", "comparison.html", "comparison.json", "measures.svg"} <= seen["files"].keys()
    json.loads(seen["files"]["comparison.json"])


def test_a_store_that_cannot_be_reached_spoils_no_comparison(tmp_path, monkeypatch, caplog):
    three_runs(tmp_path)

    def refuse(*_):
        raise ConnectionError("no route to http://user:secret@example.org")

    monkeypatch.setattr("infomcr_cli.tracking.client.log_comparison", refuse)
    options = CompareOptions((str(tmp_path),), tracking=True, tracking_uri="http://127.0.0.1:1")
    assert compare(options).mlflow_run_id is None
    assert "not recorded" in caplog.text
    assert "secret" not in caplog.text


def test_a_signal_while_it_is_recorded_leaves_nothing_running(command_line, tmp_path, monkeypatch):
    from mlflow.tracking import MlflowClient

    three_runs(tmp_path)
    monkeypatch.setattr(MlflowClient, "log_artifact", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert command_line("compare", str(tmp_path), "--tracking-uri", uri, "--json").code == 143
    client = MlflowClient(uri)
    found = client.search_runs([one.experiment_id for one in client.search_experiments()])
    assert [run.info.status for run in found] == ["KILLED"]


def test_an_mlflow_experiment_names_the_runs(tmp_path, monkeypatch):
    three_runs(tmp_path)
    found = [tmp_path / "run-0", tmp_path / "run-2", tmp_path / "gone"]
    monkeypatch.setattr("infomcr_cli.tracking.client.run_directories_of_experiment", lambda store: found)
    comparison = compare(CompareOptions(("mlflow:any",)))
    assert [entry.name for entry in comparison.judged] == ["run-0", "run-2"]
    assert len(comparison.passed_over) == 1
    monkeypatch.setattr("infomcr_cli.tracking.client.run_directories_of_experiment", lambda store: [])
    with pytest.raises(InputError, match="experiment must hold runs"):
        compare(CompareOptions(("mlflow:any",)))


def test_bad_input_is_refused_before_anything_heavy_is_imported(tmp_path):
    code = (
        "import sys\nfrom infomcr_cli.compare import *\n"
        "try: compare(CompareOptions(('nowhere',)))\n"
        "except InputError: print({'pandas', 'scipy', 'matplotlib', 'mlflow', 'tensorflow'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.strip() == "set()"


def test_an_evaluation_is_out_of_date_once_the_run_has_gone_on() -> None:
    from infomcr_cli.report.evaluated_run import Evaluation, _current

    measured = Evaluation(step=10)
    assert _current(measured, "last", 10) is measured
    assert _current(measured, "last", 20) is None
    assert _current(measured, "epoch-0001", 20) is measured
