"""Axes of a comparison: settings that differ, data sets, labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from fake_runs import config_with, evaluation, write_run

from infomcr_cli.compare import CompareRequest, compare
from infomcr_cli.report.axes import find_axes, labels_of, weight_settings
from infomcr_cli.runs import Checkpoint, RunDirectory, save_checkpoint


def test_settings_that_change_together_are_one_axis() -> None:
    settings = [
        {"a.x": 1, "b.y": "u", "reg.name": "off", "seed": 0},
        {"a.x": 1, "b.y": "u", "reg.name": "on", "reg.beta": 1.0, "seed": 1},
        {"a.x": 2, "b.y": "v", "reg.name": "on", "reg.beta": 10.0, "seed": 2},
        {"a.x": 2, "b.y": "v", "reg.name": "off", "seed": 3},
    ]
    axes = find_axes(settings)
    assert [(axis.name, axis.keys) for axis in axes] == [("a.x", ("a.x", "b.y")), ("reg.beta", ("reg.beta",))]
    assert axes[1].labels == ("–", "1.0", "10.0", "–")


def test_settings_that_differ_in_every_run_are_separate_axes() -> None:
    axes = find_axes([{"a.x": i, "b.y": -i} for i in range(4)])
    assert [axis.name for axis in axes] == ["a.x", "b.y"]


def test_values_that_differ_beyond_the_cut_have_different_labels() -> None:
    long = "x" * 200
    axes = find_axes([{"a.x": long + "1"}, {"a.x": long + "2"}, {"a.x": long + "1"}])
    assert axes[0].labels == ("x" * 60 + "… (1)", "x" * 60 + "… (2)", "x" * 60 + "… (1)")
    assert labels_of(["on", None, "on"]) == ("on", "–", "on")
    assert labels_of(["–", None]) == ("– (1)", "– (2)")
    assert labels_of(["a\x1b", "a\x07"]) == ("a\ufffd (1)", "a\ufffd (2)")


def test_long_settings_are_compared_whole(tmp_path: Path) -> None:
    for index in range(4):
        config = config_with(model__name="m" * 80 + str(index % 2), optimizer__l2=index // 2 / 10)
        write_run(tmp_path / f"r{index}", config, {"last": evaluation(0.1 + index / 50, {"gamma": float(index)})})
    document = compare(CompareRequest((str(tmp_path),))).to_dict()
    assert len(document["axes"]["model.name"]["values"]) == 2
    assert document["n"] == 4


def test_settings_that_differ_by_rounding_are_one_level(tmp_path: Path) -> None:
    for index, lr in enumerate((0.1 * 3, 0.3, 0.7, 0.1 * 7)):
        config = config_with(optimizer__learning_rate=lr, optimizer__l2=index % 2 / 10)
        write_run(tmp_path / f"r{index}", config, {"last": evaluation(index / 10, {"gamma": float(index)})})
    document = compare(CompareRequest((str(tmp_path),))).to_dict()
    assert document["axes"]["optimizer.learning_rate"]["values"] == ["0.30000000000000004", "0.7"]
    assert document["measures"]["gamma"]["granulated_psi"]["groups"] == {
        "optimizer.l2": 2,
        "optimizer.learning_rate": 2,
    }


def axes(folder: Path, runs: Sequence[tuple[str | None, str | None, int]]) -> dict[str, tuple[str, ...]]:
    """Compare runs, each with its data.root, the fingerprint in its checkpoint, and its seed."""
    for number, (root, fingerprint, seed) in enumerate(runs):
        measured = {"last": evaluation(0.1 + number / 100, {"gamma": -float(number)})}
        run = write_run(folder / f"run-{number}", config_with(data__root=root, seed=seed), measured)
        extra = {} if fingerprint is None else {"data": fingerprint}
        save_checkpoint(RunDirectory.open(run), "epoch-0003", Checkpoint(60, 3, {"w": np.zeros(1)}, extra=extra))
    return {axis.name: axis.labels for axis in compare(CompareRequest((str(folder),))).axes}


def test_runs_on_two_data_sets_are_not_replicates(tmp_path: Path) -> None:
    runs = [("/a", "1", 0), ("/a", "1", 1), ("/b", "2", 0), ("/b", "2", 1)]
    assert axes(tmp_path, runs) == {"data.root": ("/a", "/a", "/b", "/b")}


def test_one_data_set_at_two_places_is_not_an_axis(tmp_path: Path) -> None:
    assert axes(tmp_path, [("/a", "1", 0), ("/a", "3", 1), ("/b", "3", 0), (None, "1", 2)]) == {}


def test_places_with_the_same_data_are_one_level(tmp_path: Path) -> None:
    runs = [("/a", "1", 0), ("/b", "2", 0), ("/c", "1", 1)]
    assert axes(tmp_path, runs) == {"data.root": ("/a", "/b", "/a")}


@pytest.mark.parametrize("fingerprint", [None, "1"])
def test_place_with_unknown_data_is_not_an_axis(tmp_path: Path, fingerprint: str | None) -> None:
    assert axes(tmp_path, [("/a", None, 0), ("/b", fingerprint, 1)]) == {}


def test_the_optimizer_is_one_axis_with_all_that_only_one_choice_has() -> None:
    """Three optimizers at the same two rates: what only some of them have differs with the choice alone."""
    own: dict[str, dict[str, object]] = {
        "sgd": {"optimizer.momentum": 0.9},
        "adam": {"optimizer.beta_1": 0.9, "optimizer.amsgrad": False},
        "lion": {"optimizer.beta_1": 0.9, "optimizer.weight_decay": 0.04},
    }
    settings = [
        {"optimizer.name": name, "optimizer.learning_rate": rate, **more}
        for name, more in own.items()
        for rate in (0.1, 0.01)
    ]
    assert {axis.name: axis.values for axis in find_axes(settings)} == {
        "optimizer.name": ("adam", "lion", "sgd"),
        "optimizer.learning_rate": ("0.01", "0.1"),
    }


def test_a_run_from_before_a_setting_has_its_default() -> None:
    earlier = weight_settings({"optimizer.name": "sgd", "optimizer.l2": 0.1})
    later = weight_settings({"optimizer.name": "sgd", "optimizer.l2": 0.1, "optimizer.label_smoothing": 0.0})
    assert earlier == later
    smoothed = {**later, "optimizer.label_smoothing": 0.1}
    assert [(axis.name, axis.values) for axis in find_axes([earlier, smoothed])] == [
        ("optimizer.label_smoothing", ("0.0", "0.1"))
    ]
