"""Measure against gap: gamma large, the others in pictures of nine panels; axes as colours and markers, error bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from infomcr_cli.report.axes import Axis
from infomcr_cli.report.comparison import Comparison
from infomcr_cli.report.conventions import unit_of
from infomcr_cli.report.evaluated_run import EvaluatedRun, gap_label
from infomcr_cli.report.plots.marks import Mark, MarkedFigure
from infomcr_cli.report.plots.style import COLOURS, MARKERS, legend_of, note, panels, with_unit
from infomcr_cli.report.tables import format_stat, group_name, mark_mixed, replicates

GAMMA = "gamma"
PANELS = 9  # of one picture
MOST_PANELS = 36
MOST_MARKS = 300  # settings and seeds of a panel that are drawn one by one, with a mark for each
_LARGEST, _SMALLEST = 9.0, 4.0  # points, of the markers of the first and of a late value
_WORDS = {"lower": "lower is better", "higher": "higher is better"}


@dataclass(frozen=True)
class Point:
    """A setting in a panel: means over its seeds with their bars, and what each seed has.

    Attributes:
        bars:  half-lengths in x and y: the standard deviation over seeds; of a single seed the standard error, 0 if
               it is not known.
        seeds: (x, y) of each seed, if there are several.
        runs:  their names; of a single one too.
        label: what the setting is called.
    """

    x: float
    y: float
    bars: tuple[float, float]
    seeds: tuple[tuple[float, float], ...]
    runs: tuple[str, ...]
    label: str
    colour: str
    marker: str
    size: float


def gamma_against_gap(comparison: Comparison) -> Figure | None:
    """Return one large panel of the gap over gamma; None if no run has both."""
    if not points(comparison, GAMMA):
        return None
    figure, axes = panels(1, width=7.2, height=4.6)
    _draw_panel(figure, 0, axes[0], comparison, GAMMA, scale=1.2)
    direction = next(one.direction for one in comparison.ranking.measures if one.name == GAMMA)
    if direction in _WORDS:
        axes[0].set_xlabel(f"{axes[0].get_xlabel()} ({_WORDS[direction]})")
    axes[0].locator_params(axis="x", nbins=8)
    legend_of(figure, _legend(comparison.axes))
    return figure


def measures_against_gap(comparison: Comparison, names: Sequence[str], notes: Sequence[str] = ()) -> Figure:
    """Return a picture of the gap over some measures, a panel for each."""
    figure, axes = panels(len(names))
    for place, (panel, name) in enumerate(zip(axes, names, strict=True)):
        _draw_panel(figure, place, panel, comparison, name)
        panel.tick_params(labelsize=8)
    legend_of(figure, _legend(comparison.axes))
    note(figure, notes)
    return figure


def varying_measures(comparison: Comparison) -> list[str]:
    """Return the measures but gamma that differ between settings: a constant one gets no panel."""
    return [name for name in comparison.measures if name != GAMMA and _varies(points(comparison, name))]


def pictures_of(names: Sequence[str]) -> list[Sequence[str]]:
    """Return the measures of each picture, about as many in each: no picture has a single one left over.

    Examples:
        >>> [len(part) for part in pictures_of(["a"] * 22)], pictures_of([])
        ([8, 8, 6], [])
    """
    shown = names[:MOST_PANELS]
    size = -(-len(shown) // max(1, -(-len(shown) // PANELS)))  # −(−a // b) is a / b rounded up
    return [shown[start : start + size] for start in range(0, len(shown), size)] if shown else []


def points(comparison: Comparison, name: str) -> list[Point]:
    """Return a point for each setting that has the measure and the gap."""
    # the first axis as colour, the second as marker and size; a single axis as both
    colours = _index(comparison.axes[0]) if comparison.axes else [0] * len(comparison.included)
    markers = _index(comparison.axes[1]) if len(comparison.axes) > 1 else colours
    styles = {
        run.name: _style(colour, marker)
        for run, colour, marker in zip(comparison.included, colours, markers, strict=True)
    }
    found = (
        _point(members, name, comparison.gap, group_name(comparison, members), styles[members[0].name])
        for members in replicates(comparison)
    )
    return [point for point in found if point is not None]


def _varies(found: Sequence[Point]) -> bool:
    values = np.array([seed[0] for point in found for seed in point.seeds or ((point.x, point.y),)])  # [runs]
    return len(values) == 1 or (len(values) > 1 and bool(np.ptp(values) > 1e-12 * np.abs(values).max()))


def _draw_panel(
    figure: MarkedFigure, place: int, panel: Any, comparison: Comparison, name: str, scale: float = 0.8
) -> None:
    found = points(comparison, name)
    if sum(max(1, len(point.seeds)) for point in found) > MOST_MARKS:
        _draw_many(panel, found, scale)
    else:
        for point in found:
            _draw(figure, place, panel, point, scale)
    result = next(one for one in comparison.ranking.measures if one.name == name)
    tau = result.oriented("kendall_tau")
    if tau is not None and comparison.ranking.ranked:  # of few minima it says nothing
        panel.set_title(f"τ = {format_stat(tau)}", fontsize=10 * scale)
    panel.set_xlabel(with_unit(mark_mixed(name, result.mixed), unit_of(comparison.included, name)))
    panel.set_ylabel(gap_label(comparison.gap))
    panel.locator_params(axis="x", nbins=4)


def _draw_many(panel: Any, found: Sequence[Point], scale: float) -> None:
    """Draw points of one style at once, smaller, without marks: an artist for each of thousands takes minutes."""
    of_style: dict[tuple[str, str], list[Point]] = {}
    for point in found:
        of_style.setdefault((point.colour, point.marker), []).append(point)
    for (colour, marker), alike in of_style.items():
        x, y = zip(*((point.x, point.y) for point in alike), strict=True)
        across, up = zip(*(point.bars for point in alike), strict=True)
        panel.errorbar(
            x, y, xerr=across, yerr=up, fmt=marker, color=colour, markersize=_SMALLEST * scale,
            markerfacecolor=to_rgba(colour, 0.25), markeredgecolor=colour, markeredgewidth=0.6, elinewidth=0.5,
        )  # fmt: skip


def _draw(figure: MarkedFigure, place: int, panel: Any, point: Point, scale: float) -> None:
    """Draw a point see-through, and its seeds small and hollow: whatever lies at the same place stays visible."""
    colour = point.colour
    hollow: dict[str, Any] = {"linestyle": "", "color": colour, "markerfacecolor": "none"}
    size = {"markersize": 0.45 * point.size * scale, "markeredgewidth": 0.7}
    for run, (x, y) in zip(point.runs, point.seeds, strict=False):  # a single run has no seeds
        figure.record(Mark(place, (run,), run, (x,), (y,)), panel.plot(x, y, marker=point.marker, **size, **hollow))
    drawn = panel.errorbar(
        point.x, point.y, xerr=point.bars[0], yerr=point.bars[1], fmt=point.marker, color=colour,
        markersize=point.size * scale, markerfacecolor=to_rgba(colour, 0.25), markeredgecolor=colour,
        markeredgewidth=1.1, elinewidth=0.9,
    )  # fmt: skip
    what = f"mean of {len(point.seeds)} seeds ± standard deviation" if point.seeds else "± standard error"
    mark = Mark(place, point.runs, point.label, (point.x,), (point.y,), bars=point.bars, note=what)
    figure.record(mark, drawn.get_children())


def _point(
    members: Sequence[EvaluatedRun], name: str, gap: str, label: str, style: tuple[str, str, float]
) -> Point | None:
    """Return the point of the runs of one setting, or None if none of them has measure and gap."""
    known = []
    for run in members:
        x, y = run.value(name), run.shown_gap(gap)
        if x is not None and y is not None:
            known.append((x, y, abs(run.std_error(name) or 0.0), run.shown_gap_error(gap) or 0.0, run.name))
    if not known or any(abs(number) > 1e150 for *point, _ in known for number in point):
        return None
    runs = tuple(run for *_, run in known)
    if len(known) == 1:
        x, y, dx, dy, _ = known[0]
        return Point(x, y, (dx, dy), (), runs, label, *style)
    values = np.array([point[:2] for point in known])  # [seeds, 2]
    (x, y), (dx, dy) = values.mean(axis=0).tolist(), values.std(axis=0, ddof=1).tolist()
    return Point(x, y, (dx, dy), tuple((one, other) for one, other in values.tolist()), runs, label, *style)


def _style(colour: int, marker: int) -> tuple[str, str, float]:
    return COLOURS[colour % len(COLOURS)], MARKERS[marker % len(MARKERS)], max(_SMALLEST, _LARGEST - 1.5 * marker)


def _index(axis: Axis) -> list[int]:
    order = {value: index for index, value in enumerate(axis.values)}
    return [order[label] for label in axis.labels]


def _legend(axes: Sequence[Axis]) -> list[Line2D]:
    handles = []
    for place, axis in enumerate(axes[:2]):
        for index, value in enumerate(axis.values[: len(COLOURS)]):
            colour, marker, size = _style(index, index)
            colour = colour if place == 0 else "#666666"
            marker, size = (marker, size) if place == 1 or len(axes) == 1 else ("o", 6.0)
            label = f"{axis.name} = {value}"
            style: dict[str, Any] = {"marker": marker, "markersize": size, "markerfacecolor": to_rgba(colour, 0.25)}
            handles.append(Line2D([], [], linestyle="", color=colour, markeredgecolor=colour, label=label, **style))
    return handles
