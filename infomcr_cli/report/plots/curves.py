"""Lines over training and over rank: gamma along training, spectra of the Gram matrix; and the style of each line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from infomcr_cli.report.comparison import Comparison
from infomcr_cli.report.conventions import convention_text
from infomcr_cli.report.evaluated_run import EvaluatedRun
from infomcr_cli.report.plots.bands import Curve, Line, band_notes, curves_of_groups
from infomcr_cli.report.plots.marks import Mark, MarkedFigure, kept_positions, numbers
from infomcr_cli.report.plots.style import COLOURS, LINES, legend_of, logarithmic, note, panels
from infomcr_cli.report.tables import group_name, mark_mixed, replicates

MOST_RUNS = 60  # lines of a panel
GAMMA = "gamma"


def gamma_along_training(comparison: Comparison) -> Figure | None:
    """Return gamma at every checkpoint evaluated in the compared convention; None if no run has two."""
    found = {run.name: trajectory(run, GAMMA) for run in runs_shown(comparison)}
    lines = {run: line_of(one.points) for run, one in found.items() if len(one.points) > 1}
    left_out = sum(one.left_out for one in found.values())
    notes = [f"Evaluations in other conventions, left out: {left_out}."] if left_out else []
    if not lines:
        return None
    name = f"{mark_mixed(GAMMA, GAMMA in comparison.mixed_measures)}, nats"
    return overlaid(comparison, {name: lines}, "step", notes)


def spectra(comparison: Comparison) -> Figure | None:
    """Return the eigenvalues of the Gram matrix by rank on a logarithmic scale; None if none was recorded."""
    found: dict[str, Line] = {}
    for run in runs_shown(comparison):
        gamma = run.evaluation.measures.get(GAMMA)
        values = np.sort(np.array(gamma.spectrum or []))[::-1] if gamma is not None else np.array([])  # [N]
        values = values[values > 0]  # a logarithmic axis shows no others
        if len(values):
            found[run.name] = np.arange(1, len(values) + 1), values
    if not found:
        return None
    name = mark_mixed("eigenvalue of G/N", GAMMA in comparison.mixed_measures)
    figure = overlaid(comparison, {f"{name}, nats²": found}, "rank of the eigenvalue")
    logarithmic(figure.axes[0])
    return figure


def groups_shown(comparison: Comparison) -> list[list[EvaluatedRun]]:
    """Return the runs that have a line in a plot; those of a group differ only in their seed and share a line."""
    return replicates(comparison)[:MOST_RUNS]


def runs_shown(comparison: Comparison) -> list[EvaluatedRun]:
    """Return the runs of those groups."""
    return [run for group in groups_shown(comparison) for run in group]


def overlaid(
    comparison: Comparison,
    lines: Mapping[str, Mapping[str, Line]],
    x: str,
    notes: Sequence[str] = (),
    handles: Sequence[Line2D] = (),
) -> MarkedFigure:
    """Return a panel for each of `lines`, label → run → line, with one legend; seeds are one curve with a band.

    Args:
        notes:   what the plot leaves out; what its bands are is added.
        handles: further entries of the legend.
    """
    figure, axes = panels(len(lines), width=4.8, height=2.8, columns=2)
    styles, own = _line_styles(comparison)
    groups = groups_shown(comparison)
    label_of = {run.name: group_name(comparison, group) for group in groups for run in group}
    drawn: list[Curve] = []
    for place, (panel, (name, of_runs)) in enumerate(zip(axes, lines.items(), strict=True)):
        curves = curves_of_groups([[run.name for run in group] for group in groups], of_runs)
        for curve in curves:
            first = curve.runs[0]
            label = label_of[first] if len(curve.runs) > 1 else first
            figure.record(_mark(place, curve, label), _draw_curve(panel, curve, styles[first], len(curves)))
        panel.set_xlabel(x)
        panel.locator_params(axis="x", integer=True)
        panel.set_ylabel(name)
        drawn += curves
    legend_of(figure, [*own, *handles])
    count = len(replicates(comparison))
    what = "runs" if count == len(comparison.included) else "settings"
    cut = [f"The first {MOST_RUNS} of {count} {what}."] if count > MOST_RUNS else []
    note(figure, [*cut, *notes, *band_notes(drawn)])
    return figure


def _draw_curve(panel: Any, curve: Curve, style: Mapping[str, Any], count: int) -> list[Artist]:
    """Draw one of some curves, and its band if it has one, the paler the more there are; return what was drawn."""
    artists: list[Artist] = list(panel.plot(curve.x, curve.y, linewidth=1.0, alpha=0.85, **style))
    if curve.low is not None and curve.high is not None:
        alpha = max(0.05, min(0.18, 0.9 / count))
        band = {"color": style["color"], "alpha": alpha, "linewidth": 0}
        artists.append(panel.fill_between(curve.x, curve.low, curve.high, **band))
    return artists


def _mark(panel: int, curve: Curve, label: str) -> Mark:
    kept = kept_positions(len(curve.x))
    low, high = (() if edge is None else numbers(edge[kept]) for edge in (curve.low, curve.high))
    return Mark(panel, curve.runs, label, numbers(curve.x[kept]), numbers(curve.y[kept]), low, high, note=curve.note)


def _line_styles(comparison: Comparison) -> tuple[dict[str, dict[str, Any]], list[Line2D]]:
    """Return the style of each run's line, and a legend: the first axis as colour, the second as kind of line."""
    styles: dict[str, dict[str, Any]] = {run.name: {"color": COLOURS[0]} for run in comparison.included}
    handles = []
    for axis, key, kinds in zip(comparison.axes, ("color", "linestyle"), (COLOURS, LINES), strict=False):
        for run, label in zip(comparison.included, axis.labels, strict=True):
            styles[run.name][key] = kinds[axis.values.index(label) % len(kinds)]
        for index, value in enumerate(axis.values[: len(kinds)]):
            style: dict[str, Any] = {"color": "#666666", key: kinds[index]}
            handles.append(Line2D([], [], label=f"{axis.name} = {value}", **style))
    return styles, handles


def line_of(points: Sequence[tuple[float, float]]) -> Line:
    """Return points as positions and values, without those that no axis can show."""
    values = np.array(points, dtype=np.float64).reshape(-1, 2)  # [points, 2], also for no points
    values = values[np.isfinite(values).all(axis=1) & (np.abs(values) < 1e150).all(axis=1)]
    return values[:, 0], values[:, 1]


@dataclass(frozen=True)
class Trajectory:
    """Values over training.

    Attributes:
        points:   (step, value), by step.
        left_out: number of steps that were evaluated in other conventions only.
    """

    points: tuple[tuple[int, float], ...]
    left_out: int


def trajectory(run: EvaluatedRun, measure: str) -> Trajectory:
    """Return a measure along training, at the checkpoints evaluated in the convention of the compared number.

    If the compared checkpoint lacks the measure there are no points, because the convention is not known.
    """
    compared = run.evaluation.measures.get(measure)
    wanted = None if compared is None else convention_text(compared.convention)
    same: dict[int, float] = {}
    steps: set[int] = set()
    for one in run.evaluations.values():
        found = one.measures.get(measure)
        if one.step is None or found is None or found.value is None:
            continue
        steps.add(one.step)
        if convention_text(found.convention) == wanted:
            same[one.step] = found.value
    return Trajectory(tuple(sorted(same.items())), len(steps - same.keys()))
