"""Bands over seeds: means and edges against a loop over the seeds, one curve for each setting."""

from __future__ import annotations

import io
import json
import statistics
from pathlib import Path

import numpy as np
import pytest
from fake_runs import config_with, evaluation, write_run
from tolerances import ROUNDING, SINGLE, STOCHASTIC

from infomcr_cli.compare import CompareRequest, compare
from infomcr_cli.report.plots.bands import band_notes, curves_of_groups, mean_curve
from infomcr_cli.report.plots.marks import places
from infomcr_cli.report.plots.style import render
from infomcr_cli.report.plots.training import training_curves


def lines_of(seeds: int, epochs: int = 5) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seeds)
    return {f"r{seed}": (np.arange(1.0, epochs + 1), rng.lognormal(sigma=2.0, size=epochs)) for seed in range(seeds)}


@pytest.mark.parametrize("seeds", [2, 3, 4, 5, 8])
def test_edges_of_a_band_are_those_of_a_loop_over_seeds(seeds: int) -> None:
    lines = lines_of(seeds)
    curve = mean_curve(lines)
    assert curve is not None
    assert curve.low is not None
    assert curve.high is not None
    for place in range(5):
        values = [float(line[1][place]) for line in lines.values()]
        mean, low, high = sum(values) / seeds, min(values), max(values)
        if seeds >= 5:
            low, high = (max(low, mean - statistics.stdev(values)), min(high, mean + statistics.stdev(values)))
        assert [curve.y[place], curve.low[place], curve.high[place]] == pytest.approx([mean, low, high], rel=ROUNDING)


@pytest.mark.parametrize("seeds", [3, 6])
def test_a_band_of_positive_values_stays_positive_and_holds_the_mean(seeds: int) -> None:
    curve = mean_curve(lines_of(seeds, 200))
    assert curve is not None
    assert curve.low is not None
    assert curve.high is not None
    assert (curve.low > 0).all()
    assert (curve.low <= curve.y).all()
    assert (curve.y <= curve.high).all()


def test_a_mean_ends_with_the_first_of_its_seeds_and_says_so() -> None:
    lines = {"a": (np.arange(4.0), np.ones(4)), "b": (np.arange(6.0), 3 * np.ones(6))}
    (curve,) = curves_of_groups([["a", "b"]], lines)
    assert (curve.x.tolist(), curve.y.tolist()) == ([0, 1, 2, 3], [2, 2, 2, 2])
    assert band_notes([curve]) == [
        "Line: mean over seeds. Band: minimum to maximum of 2 to 4 seeds.",
        "A mean ends where its shortest run ends.",
    ]


def test_seeds_without_common_epochs_are_drawn_one_by_one() -> None:
    lines = {"a": (np.array([1.0, 3.0]), np.ones(2)), "b": (np.array([2.0, 3.0]), np.ones(2))}
    curves = curves_of_groups([["a", "b", "not logged"]], lines)
    assert [(curve.runs, curve.low) for curve in curves] == [(("a",), None), (("b",), None)]
    assert band_notes(curves) == []


def test_runs_that_differ_only_in_the_seed_are_one_training_curve(tmp_path: Path) -> None:
    losses = {}
    for reg in ("off", "on"):
        for seed in range(3):
            config, name = config_with(reg=reg, seed=seed), f"{reg}-{seed}"
            run = write_run(tmp_path / name, config, {"last": evaluation(0.1 + 0.01 * seed, {"gamma": float(seed)})})
            losses[name] = [(2 + seed) / epoch for epoch in range(1, 4)]
            lines = [
                {"step": i, "epoch": i, "train/loss": loss, "timing": {}} for i, loss in enumerate(losses[name], 1)
            ]
            (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    figure = training_curves(compare(CompareRequest((str(tmp_path),))))
    plot = render("training", "Training curves", figure)
    assert len(figure.axes[0].collections) == 2  # bands
    off = next(mark for mark in plot.marks if mark.runs == ("off-0", "off-1", "off-2"))
    for place in range(3):
        seeds = [losses[f"off-{seed}"][place] for seed in range(3)]
        shown = [off.y[place], off.low[place], off.high[place]]
        assert shown == pytest.approx([sum(seeds) / 3, min(seeds), max(seeds)], rel=SINGLE)
    assert off.note == "mean of 3 seeds"
    assert plot.note == "Line: mean over seeds. Band: minimum to maximum of 2 to 4 seeds."
    # a panel says where Matplotlib has drawn a point in the SVG
    figure.savefig(io.BytesIO(), format="svg")
    points = figure.axes[0].transData.transform(np.column_stack((off.x, off.y))) * 72 / figure.dpi
    height = 72 * figure.get_figheight()
    assert np.array(places(plot.panels[0], off)) == pytest.approx(points * [1, -1] + [0, height], abs=STOCHASTIC)
