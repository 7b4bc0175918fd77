"""Measure against gap: one panel for each measure, axes as colours and markers, error bars if they are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from infomcr_cli.report.axes import Axis
from infomcr_cli.report.comparison import Comparison
from infomcr_cli.report.evaluated_run import EvaluatedRun
from infomcr_cli.report.gather import GAPS
from infomcr_cli.report.plots.style import COLOURS, MARKERS, legend_of, note, panels, short
from infomcr_cli.report.tables import format_stat, mark_mixed, replicates

MOST_PANELS = 24


def scatter(comparison: Comparison) -> Figure | None:
    """Return the gap over each measure, a point for each setting; None if there is nothing to show.

    Bars span the standard deviation over seeds, and for a single seed the measure's own standard error.
    """
    found = [name for name in comparison.measures if _points(comparison, name)]
    measures = found[:MOST_PANELS]
    if not measures:
        return None
    figure, axes = panels(len(measures))
    for panel, name in zip(axes, measures, strict=True):
        _panel(panel, comparison, name)
    legend_of(figure, _legend(comparison.axes))
    note(figure, [f"The first {MOST_PANELS} of {len(found)} measures."] if len(found) > MOST_PANELS else [])
    return figure


def _panel(panel: Any, comparison: Comparison, name: str) -> None:
    for (x, dx, y, dy), colour, marker in _points(comparison, name):
        panel.errorbar(
            x, y, xerr=dx, yerr=dy, fmt=marker, color=colour, markersize=5, elinewidth=0.8,
            markeredgecolor="white", markeredgewidth=0.4, alpha=0.9,
        )  # fmt: skip
    result = next(one for one in comparison.ranking.measures if one.name == name)
    title = f"{mark_mixed(short(name), result.mixed)}   τ = {format_stat(result.kendall_tau.value)}"
    panel.set_title(title, fontsize=8)
    panel.set_ylabel(GAPS[comparison.gap])
    panel.locator_params(axis="x", nbins=4)
    panel.tick_params(labelsize=8)


def _points(comparison: Comparison, name: str) -> list[tuple[tuple[float, float, float, float], str, str]]:
    """Return a point, its colour and its marker for each setting that has the measure and the gap."""
    styles = dict(zip((run.name for run in comparison.included), _styles(comparison), strict=True))
    found = [(_point(members, name, comparison.gap), styles[members[0].name]) for members in replicates(comparison)]
    return [(point, *style) for point, style in found if point is not None]


def _point(members: Sequence[EvaluatedRun], name: str, gap: str) -> tuple[float, float, float, float] | None:
    """Return (measure, its bar, gap, its bar), or None if no member has both."""
    known = []
    for run in members:
        x, y = run.value(name), run.gap(gap)
        if x is not None and y is not None:
            known.append((x, y, run.evaluation.measures[name].std_error or 0.0))
    if not known or any(abs(number) > 1e150 for point in known for number in point):
        return None
    x_values, y_values, errors = np.array(known).T
    if len(known) == 1:
        return float(x_values[0]), abs(float(errors[0])), float(y_values[0]), 0.0
    return float(x_values.mean()), float(x_values.std(ddof=1)), float(y_values.mean()), float(y_values.std(ddof=1))


def _styles(comparison: Comparison) -> list[tuple[str, str]]:
    """Return colour and marker of each ranked run: the first axis as colour, the second as marker."""
    colours = _index(comparison.axes[0]) if comparison.axes else [0] * len(comparison.included)
    markers = _index(comparison.axes[1]) if len(comparison.axes) > 1 else colours
    return [(COLOURS[c % len(COLOURS)], MARKERS[m % len(MARKERS)]) for c, m in zip(colours, markers, strict=True)]


def _index(axis: Axis) -> list[int]:
    order = {value: index for index, value in enumerate(axis.values)}
    return [order[label] for label in axis.labels]


def _legend(axes: Sequence[Axis]) -> list[Line2D]:
    handles = []
    for place, axis in enumerate(axes[:2]):
        for index, value in enumerate(axis.values[: len(COLOURS)]):
            colour = COLOURS[index] if place == 0 else "#666666"
            marker = MARKERS[index] if place == 1 or len(axes) == 1 else "o"
            handles.append(Line2D([], [], linestyle="", marker=marker, color=colour, label=f"{axis.name} = {value}"))
    return handles
