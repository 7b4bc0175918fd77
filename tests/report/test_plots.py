"""Plots: the same bytes each time, marked and cut as the tables are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest
from fake_runs import CONVENTION, config_with, evaluation, three_runs, write_run

from infomcr_cli.compare import CompareRequest, compare
from infomcr_cli.measures.base import all_measures
from infomcr_cli.report.comparison import Comparison
from infomcr_cli.report.plots.all import all_plots, save_plots
from infomcr_cli.report.plots.curves import Trajectory, gamma_along_training, spectra, trajectory
from infomcr_cli.report.plots.heatmap import between_measures, psi_by_axis
from infomcr_cli.report.plots.style import Plot, short
from infomcr_cli.report.save import tracked_metrics


def test_plots_are_complete_and_byte_identical(comparison: Comparison, plots: Sequence[Plot]) -> None:
    once, again = plots, all_plots(comparison)
    assert [one.name for one in once] == ["measures", "psi", "correlations", "gamma", "spectra", "training"]
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
    assert spectra(mixed).axes[0].get_ylabel() == "eigenvalue of G/N*"
    assert tracked_metrics(mixed)["gamma.mixed_conventions/kendall_tau"] == pytest.approx(1.0)
    assert "gamma/kendall_tau" not in tracked_metrics(mixed)
    assert "other/kendall_tau" in tracked_metrics(mixed)


def test_plot_titles_state_how_many_runs_and_measures_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infomcr_cli.report.plots.curves.MOST_RUNS", 3)
    monkeypatch.setattr("infomcr_cli.report.plots.scatter.MOST_PANELS", 2)
    monkeypatch.setattr("infomcr_cli.report.plots.heatmap.MOST_MEASURES", 2)
    for index in range(4):
        found = evaluation(0.1 + index / 50, {"gamma": float(index), "other": float(index * 3 % 5)})
        found["measures"]["gamma"]["spectrum"] = [1.0]
        first = evaluation(0.1, {"gamma": -1.0}, step=20)
        write_run(tmp_path / f"r{index}", config_with(optimizer__l2=index / 100), {"last": found, "one": first})
    titles = {one.name: one.title for one in all_plots(compare(CompareRequest((str(tmp_path),))))}
    for name in ("gamma", "spectra", "training"):
        assert titles[name].endswith(". The first 3 of 4 runs.")
    for name in ("measures", "psi", "correlations"):
        assert titles[name].endswith(". The first 2 of 3 measures.")


def test_names_of_all_measures_fit_in_a_plot() -> None:
    assert all(short(measure.name) == measure.name for measure in all_measures())
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
