"""Measure against gap: one panel for each measure, axes in colour and shape, error bars where they are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from infomcr_cli.report.axes import Axis
from infomcr_cli.report.comparison import Comparison, gap_of
from infomcr_cli.report.evaluated_run import EvaluatedRun
from infomcr_cli.report.gather import GAPS
from infomcr_cli.report.plots.style import COLOURS, MARKERS, legend_of, note, panels, short
from infomcr_cli.report.rows import mark_mixed, plain, replicates

MOST_PANELS = 24


def scatter(comparison: Comparison) -> Figure | None:
    """Return the gap over each measure, a point for each setting; None where nothing can be shown.

    Bars span the standard deviation over seeds, and for a single seed the measure's own standard error.
    """
    found = [name for name in comparison.measures if _points(comparison, name)]
    measures = found[:MOST_PANELS]
    if not measures:
        return None
    drawing, axes = panels(len(measures))
    for panel, name in zip(axes, measures, strict=True):
        _panel(panel, comparison, name)
    legend_of(drawing, _legend(comparison.axes))
    note(drawing, [f"The first {MOST_PANELS} of {len(found)} measures."] if len(found) > MOST_PANELS else [])
    return drawing


def _panel(panel: Any, comparison: Comparison, name: str) -> None:
    for (x, dx, y, dy), colour, marker in _points(comparison, name):
        panel.errorbar(
            x, y, xerr=dx, yerr=dy, fmt=marker, color=colour, markersize=5, elinewidth=0.8,
            markeredgecolor="white", markeredgewidth=0.4, alpha=0.9,
        )  # fmt: skip
    verdict = next(one for one in comparison.verdict.measures if one.name == name)
    title = f"{mark_mixed(short(name), verdict.mixed)}   τ = {plain(verdict.kendall_tau.value)}"
    panel.set_title(title, fontsize=8)
    panel.set_ylabel(GAPS[comparison.gap])
    panel.locator_params(axis="x", nbins=4)
    panel.tick_params(labelsize=8)


def _points(comparison: Comparison, name: str) -> list[tuple[tuple[float, float, float, float], str, str]]:
    looks = dict(zip((entry.name for entry in comparison.judged), _looks(comparison), strict=True))
    found = [(_point(members, name, comparison.gap), looks[members[0].name]) for members in replicates(comparison)]
    return [(point, *look) for point, look in found if point is not None]


def _point(members: Sequence[EvaluatedRun], name: str, gap: str) -> tuple[float, float, float, float] | None:
    """Return (measure, its bar, gap, its bar), or None where no member has both."""
    found = [entry.evaluation for entry in members if entry.evaluation]
    pairs = [(one.measures[name], gap_of(one, gap)) for one in found if name in one.measures]
    known = [(one.value, g, one.std_error or 0.0) for one, g in pairs if one.value is not None and g is not None]
    if not known or any(abs(number) > 1e150 for point in known for number in point):
        return None
    x, y, errors = np.array(known).T
    if len(known) == 1:
        return float(x[0]), abs(float(errors[0])), float(y[0]), 0.0
    return float(x.mean()), float(x.std(ddof=1)), float(y.mean()), float(y.std(ddof=1))


def _looks(comparison: Comparison) -> list[tuple[str, str]]:
    """Return colour and marker of each judged run: the first axis in colour, the second in shape."""
    colours = _index(comparison.axes[0]) if comparison.axes else [0] * len(comparison.judged)
    shapes = _index(comparison.axes[1]) if len(comparison.axes) > 1 else colours
    return [(COLOURS[c % len(COLOURS)], MARKERS[s % len(MARKERS)]) for c, s in zip(colours, shapes, strict=True)]


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
