"""Plots: the same bytes each time, marked and cut as the tables are."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from fake_runs import CONVENTION, config_with, evaluation, three_runs, write_run

from infomcr_cli.compare import CompareRequest, compare
from infomcr_cli.judging.result import Granulated
from infomcr_cli.measures.base import chosen_measures
from infomcr_cli.report.comparison import Comparison
from infomcr_cli.report.plots.all import _send, all_plots, save_plots
from infomcr_cli.report.plots.curves import Trajectory, gamma_along_training, spectra, trajectory
from infomcr_cli.report.plots.heatmap import between_measures, psi_by_axis
from infomcr_cli.report.plots.scatter import (
    gamma_against_gap,
    measures_against_gap,
    pictures_of,
    points,
    varying_measures,
)
from infomcr_cli.report.plots.schedule_marks import MOST_MARKS, all_marks, schedule_marks
from infomcr_cli.report.plots.style import Plot, short, with_unit
from infomcr_cli.report.plots.training import training_curves
from infomcr_cli.report.save import tracked_metrics
from infomcr_cli.signals import stop_on_signal


def test_plots_are_complete_and_byte_identical(comparison: Comparison, plots: Sequence[Plot]) -> None:
    once, again = plots, all_plots(comparison)
    names = ["training", "gamma-gap", "measures", "psi", "correlations", "gamma", "spectra"]
    assert [one.name for one in once] == names
    assert once == again
    for one in once:
        assert one.png.startswith(b"\x89PNG")
        assert b"<dc:date>" not in one.svg
        ElementTree.fromstring(one.svg)


def test_plots_are_saved_as_svg_and_png(plots: Sequence[Plot], tmp_path: Path) -> None:
    written = save_plots(plots, tmp_path / "plots")
    assert sorted(written) == sorted((tmp_path / "plots").iterdir())
    assert {"measures.svg", "measures.png", "training.svg"} <= {path.name for path in written}


def test_plots_and_metrics_mark_mixed_conventions(mixed: Comparison) -> None:
    for drawn in (between_measures(mixed), psi_by_axis(mixed)):
        names = [label.get_text() for label in drawn.axes[0].get_yticklabels()]
        assert "gamma*" in names
        assert {"gamma", "other*"}.isdisjoint(names)
    assert gamma_along_training(mixed).axes[0].get_ylabel() == "gamma*, nats"
    assert spectra(mixed).axes[0].get_ylabel() == "eigenvalue of G/N*, nats²"
    assert tracked_metrics(mixed)["comparison/tau/gamma.mixed_conventions"] == pytest.approx(1.0)
    assert "comparison/tau/gamma" not in tracked_metrics(mixed)
    assert "comparison/tau/other" in tracked_metrics(mixed)


def test_plot_titles_state_how_many_runs_and_measures_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infomcr_cli.report.plots.curves.MOST_RUNS", 3)
    monkeypatch.setattr("infomcr_cli.report.plots.scatter.MOST_PANELS", 2)
    monkeypatch.setattr("infomcr_cli.report.plots.heatmap.MOST_MEASURES", 2)
    for index in range(4):
        measures = {"gamma": float(index), "other": float(index * 3 % 5), "a": index**2 % 7, "b": index**3 % 5}
        found = evaluation(0.1 + index / 50, measures, train_loss=0.01 + index / 1000)
        found["measures"]["gamma"]["spectrum"] = [1.0]
        first = evaluation(0.1, {"gamma": -1.0}, step=20)
        write_run(tmp_path / f"r{index}", config_with(optimizer__l2=index / 100), {"last": found, "one": first})
    titles = {one.name: one.title for one in all_plots(compare(CompareRequest((str(tmp_path),))))}
    for name in ("gamma", "spectra", "training"):
        assert titles[name].endswith(". The first 3 of 4 runs.")
    assert titles["measures"].endswith(". The first 2 of 4 measures.")  # gamma has a picture of its own
    for name in ("psi", "correlations"):
        assert titles[name].endswith(". The first 2 of 5 measures.")


def test_names_of_all_measures_fit_in_a_plot() -> None:
    assert all(short(measure.name) == measure.name for measure in chosen_measures())
    assert short("x" * 50) == "x" * 31 + "…"


def test_complete_plots_have_no_note(plots: Sequence[Plot]) -> None:
    assert not any("The first" in one.title for one in plots)


def test_gamma_along_training_uses_the_compared_convention_only(tmp_path: Path) -> None:
    old = CONVENTION | {"draws": 100}
    for index in range(3):
        first = evaluation(0.2, {"gamma": 1.0}, step=20)
        middle = evaluation(0.2, {"gamma": 9.0}, convention=old, step=40)
        last = evaluation(0.1 + index / 10, {"gamma": 2.0 + index})
        again = evaluation(0.1 + index / 10, {"gamma": 9.0}, convention=old)
        config = config_with(optimizer__learning_rate=(index + 1) / 10)
        checkpoints = {"epoch-0001": first, "epoch-0002": middle, "last": last, "epoch-0003": again}
        write_run(tmp_path / f"r{index}", config, checkpoints)
    comparison = compare(CompareRequest((str(tmp_path),)))
    found = trajectory(comparison.included[0], "gamma")
    assert found == Trajectory(points=((20, 1.0), (60, 2.0)), left_out=1)
    drawn = gamma_along_training(comparison)
    assert [line.get_xdata().tolist() for line in drawn.axes[0].get_lines()] == [[20, 60]] * 3
    assert drawn.get_suptitle() == "Evaluations in other conventions, left out: 3."


def test_damaged_metrics_leave_out_one_training_curve(tmp_path: Path) -> None:
    (three_runs(tmp_path) / "run-1" / "metrics.jsonl").write_text("{}\n" * 3)
    titles = {one.name: one.title for one in all_plots(compare(CompareRequest((str(tmp_path),))))}
    assert titles["training"].endswith("Left out, because metrics.jsonl cannot be read: run-1.")


def test_pictures_have_at_most_nine_panels_and_constant_measures_none(tmp_path: Path) -> None:
    for index in range(4):
        measures = {f"m{number}": float(index * number % 7) for number in range(1, 12)} | {
            "constant": 3.0,
            "gamma": index,
        }
        found = evaluation(0.1 + index / 50, measures)
        write_run(tmp_path / f"r{index}", config_with(optimizer__l2=index / 100), {"last": found})
    comparison = compare(CompareRequest((str(tmp_path),)))
    drawn = [measures_against_gap(comparison, part) for part in pictures_of(varying_measures(comparison))]
    shown = [[panel.get_xlabel() for panel in figure.axes if panel.get_visible()] for figure in drawn]
    assert [len(labels) for labels in shown] == [5, 5]
    labels = [label for one in shown for label in one]
    assert sorted(labels) == sorted(f"m{number}, nats" for number in range(1, 12) if number != 7)
    assert gamma_against_gap(comparison).axes[0].get_xlabel() == "gamma, nats (lower is better)"


def test_points_are_means_in_percent_with_their_seeds(comparison: Comparison) -> None:
    found = points(comparison, "gamma")
    first = [run for run in comparison.included if run.name.startswith(comparison.included[0].name[:-1])]
    assert len(found) == 8
    assert found[0].y == pytest.approx(100 * np.mean([run.gap("error") for run in first]))
    assert found[0].bars[0] == pytest.approx(np.std([run.value("gamma") for run in first], ddof=1))
    assert [seed[0] for seed in found[0].seeds] == [run.value("gamma") for run in first]
    styles = {(point.colour, point.marker, point.size) for point in found}
    assert len(styles) == 4  # two axes of two values; the third axis has no style


def test_the_command_draws_the_same_bytes_in_two_processes(comparison: Comparison, tmp_path: Path) -> None:
    root = comparison.included[0].directory.path.parent
    saved = save_plots(all_plots(compare(CompareRequest((str(root),)))), tmp_path / "here")
    command = [sys.executable, "-c", "from infomcr_cli.cli import main; main()", "compare", str(root)]
    there = tmp_path / "there"
    subprocess.run([*command, "--no-tracking", "--plots", str(there)], check=True, capture_output=True)
    assert sorted(path.name for path in there.iterdir()) == sorted(path.name for path in saved)
    assert all((there / path.name).read_bytes() == path.read_bytes() for path in saved)


class NoFork:
    """A context whose processes die at once."""

    def Pipe(self, duplex: bool) -> Any:
        return multiprocessing.Pipe(duplex=duplex)

    def Process(self, **_: Any) -> Any:
        return SimpleNamespace(start=lambda: None, join=lambda: None)


def test_plots_of_a_process_that_died_are_drawn_here(
    comparison: Comparison, plots: Sequence[Plot], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multiprocessing, "get_context", lambda _: NoFork())
    assert all_plots(comparison, two_processes=True) == plots


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_process_that_draws_without_a_traceback(
    comparison: Comparison, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], number: int
) -> None:
    receiver, sender = multiprocessing.Pipe(duplex=False)
    monkeypatch.setattr("infomcr_cli.report.plots.all._drawn", lambda *_: (sender.send("begun"), time.sleep(60)))
    child = multiprocessing.get_context("fork").Process(target=_send, args=(sender, comparison, (), False))
    with stop_on_signal():  # its handler is inherited
        child.start()
        assert receiver.recv() == "begun"
        os.kill(child.pid or 0, number)
        child.join(30)
    assert child.exitcode == -number
    assert "Traceback" not in capfd.readouterr().err


def test_titles_and_labels_of_plots_are_never_cut() -> None:
    for measure in chosen_measures():
        assert with_unit(measure.name, measure.unit).replace("\n", "").replace(" ", "") == (
            f"{measure.name},{measure.unit}".replace(" ", "")
        )
    lines = with_unit("x" * 50, "nats²").splitlines()
    assert "".join(lines).startswith("x" * 50)
    assert max(map(len, lines)) <= 32


def test_training_curves_mark_learning_rate_and_regularizer(tmp_path: Path) -> None:
    piecewise = {"schedule__epochs": 4, "schedule__boundaries": [0.5, 0.75], "schedule__name": "piecewise"}
    for index, reg in enumerate(("off", "on")):
        config = config_with(reg=reg, optimizer__l2=index / 10, **piecewise)
        run = write_run(tmp_path / reg, config, {"last": evaluation(0.1, {"gamma": 1.0})})
        lines = [
            {"step": i, "epoch": i, "train/loss": 1 / i, "train/accuracy": 1 - 0.2 / i, "timing": {}}
            | {"learning_rate": rate}
            for i, rate in enumerate([0.1, 0.02, 0.004], start=1)  # of the next step
        ]
        (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    figure = training_curves(compare(CompareRequest((str(tmp_path),))))
    loss, error, rate = figure.axes[:3]
    assert (loss.get_ylabel(), error.get_ylabel(), rate.get_ylabel()) == (
        "train loss, nats", "train error, %", "learning rate",
    )  # fmt: skip
    assert (loss.get_yscale(), error.get_yscale(), rate.get_yscale()) == ("log", "linear", "log")
    assert error.get_lines()[0].get_ydata() == pytest.approx([20, 10, 20 / 3])
    marks: dict[str, set[float]] = {}
    for line in loss.get_lines()[2:]:
        marks.setdefault(line.get_linestyle(), set()).add(line.get_xdata()[0])
    assert marks == {":": {2, 3}, "--": {1.2}}  # phases 011 of 0.3 and 0.6
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"learning rate falls", "regularizer begins"} <= {*legend}
    assert "regularizer pauses" not in legend


@pytest.mark.parametrize(
    "changes",
    [
        {"schedule.name": "cosine"},
        {"schedule.epochs": "3"},
        {"schedule.epochs": None},
        {"schedule.boundaries": [None]},
        {"schedule.boundaries": "0.5"},
        {"schedule.boundaries": [9.0]},
    ],
)
def test_settings_that_say_nothing_of_the_rate_mark_nothing(changes: dict[str, object]) -> None:
    config = {"schedule.name": "piecewise", "schedule.epochs": 4, "schedule.boundaries": [0.5], "reg.phases": 7}
    assert schedule_marks(config, 4) == {"learning rate falls": [2.0]}
    assert not any(schedule_marks(config | changes, 4).values())


def test_too_many_marks_are_left_out() -> None:
    each = [{"learning rate falls": [float(epoch)], "regularizer begins": [3.0]} for epoch in range(MOST_MARKS + 1)]
    assert all_marks(each) == {"regularizer begins": [3.0]}
    assert all_marks(each[:2]) == {"learning rate falls": [0.0, 1.0], "regularizer begins": [3.0]}


def test_a_loss_of_zero_is_shown_on_a_linear_axis(tmp_path: Path) -> None:
    three_runs(tmp_path)
    for run in tmp_path.iterdir():
        lines = [{"step": i, "epoch": i, "train/loss": 0.0, "timing": {}} for i in range(1, 4)]
        (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert training_curves(compare(CompareRequest((str(tmp_path),)))).axes[0].get_yscale() == "linear"


def test_correlations_turn_measures_round_of_which_higher_is_better(tmp_path: Path) -> None:
    for index in range(4):
        found = evaluation(0.1 + index / 50, {"gamma": float(index), "margin": -float(index)})
        found["measures"]["margin"]["direction"] = "higher"
        write_run(tmp_path / f"r{index}", config_with(optimizer__l2=index / 100), {"last": found})
    cells = between_measures(compare(CompareRequest((str(tmp_path),)))).axes[0].collections[0]
    assert np.asarray(cells.get_array()) == pytest.approx(np.ones((3, 3)))


def test_many_points_are_drawn_in_few_artists_at_the_same_places(
    comparison: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infomcr_cli.report.plots.scatter.MOST_MARKS", 3)
    figure = gamma_against_gap(comparison)
    assert figure is not None
    lines = [line for line in figure.axes[0].get_lines() if line.get_marker() not in ("None", "", "|", "_")]
    drawn = sorted((float(x), float(y)) for line in lines for x, y in zip(*line.get_data(), strict=True))
    expected = points(comparison, "gamma")
    assert drawn == sorted((point.x, point.y) for point in expected)
    assert figure.marks == ()


def test_psi_map_has_the_axes_of_all_measures(comparison: Comparison) -> None:
    first, *others = comparison.ranking.measures
    without = replace(first, granulated_psi=Granulated(axes=dict.fromkeys(comparison.ranking.axes)))
    whole, cut = (
        psi_by_axis(replace(comparison, ranking=replace(comparison.ranking, measures=(one, *others))))
        for one in (first, without)
    )
    names = [[text.get_text() for text in figure.axes[0].get_xticklabels()] for figure in (whole, cut)]
    assert names[0] == names[1]
    assert len(names[0]) > 2
