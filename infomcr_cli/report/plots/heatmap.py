"""Heat maps with numbers: rank correlations between measures, and ψ by axis."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from infomcr_cli.judging.rank_correlation import spearman_rho
from infomcr_cli.judging.ties import merge_ties
from infomcr_cli.report.comparison import Comparison
from infomcr_cli.report.conventions import direction_of
from infomcr_cli.report.evaluated_run import gaps_of, measure_names, values_of
from infomcr_cli.report.plots.marks import Mark, MarkedFigure
from infomcr_cli.report.plots.style import note, short
from infomcr_cli.report.tables import format_stat, mark_mixed

MOST_MEASURES = 40
LEVELS = 41  # of colour: Matplotlib draws a colour bar of 50 or more as an image, which is not inlined in a page


def between_measures(comparison: Comparison) -> Figure | None:
    """Return Spearman's ρ of every pair of measures and the gap; None with fewer than two measures or three runs.

    Measures of which higher values are better are negated, so that two that agree have a positive ρ.
    """
    names = measure_names(comparison.included)
    varying = [name for name in comparison.measures if name in names and _varies(comparison, name)]
    shown = varying[:MOST_MEASURES]
    if len(shown) < 2 or len(comparison.included) < 3:
        return None
    columns = []
    for name in shown:
        sign = -1.0 if direction_of(comparison.included, name) == "higher" else 1.0
        oriented = sign * values_of(comparison.included, name)  # [n], lower is better
        columns.append(merge_ties(oriented, np.abs(oriented)))
    gaps = gaps_of(comparison.included, comparison.gap)
    columns.append(merge_ties(gaps, np.maximum(np.abs(gaps), 1.0)))
    values = np.array([[_rho(one, other) for other in columns] for one in columns])  # [measures + 1, measures + 1]
    labels = [*(mark_mixed(short(name), name in comparison.mixed_measures) for name in shown), "gap"]
    return _heatmap(values, labels, labels, "Spearman's ρ", len(varying))


def psi_by_axis(comparison: Comparison) -> Figure | None:
    """Return ψ of every measure on every axis, with Ψ, so that more is better; None if no axis has a usable group."""
    results = [*comparison.ranking.measures[:MOST_MEASURES], *comparison.ranking.controls]
    axes = [axis for axis in comparison.ranking.axes if any(one.granulated_psi.groups.get(axis) for one in results)]
    if not axes:
        return None
    raw = [[*(one.granulated_psi.axes[axis] for axis in axes), one.granulated_psi.value] for one in results]
    rows = [one.orient("granulated_psi", np.array(row, np.float64)) for one, row in zip(results, raw, strict=True)]
    values = np.array(rows)  # [measures, axes + 1]; None became NaN
    labels = [mark_mixed(short(one.name), one.mixed) for one in results]
    return _heatmap(values, labels, [*map(short, axes), "Ψ"], "ψ", len(comparison.measures))


def _varies(comparison: Comparison, name: str) -> bool:
    values = values_of(comparison.included, name)
    values = values[np.isfinite(values)]
    with np.errstate(over="ignore"):
        return len(values) > 1 and bool(np.ptp(values) > 1e-12 * np.abs(values).max())


def _rho(one: np.ndarray, other: np.ndarray) -> float:
    known = np.isfinite(one) & np.isfinite(other)
    return spearman_rho(one[known], other[known]) if known.sum() >= 3 else float("nan")


def _heatmap(values: np.ndarray, rows: Sequence[str], columns: Sequence[str], label: str, measures: int) -> Figure:
    height, width = 0.34 * len(rows) + 1.5, 0.55 * len(columns) + 3.0
    figure = MarkedFigure(figsize=(max(width, 4.5), max(height, 2.5)), layout="constrained", dpi=150)
    panel = figure.subplots()
    figure.record_panels([panel])
    places = np.arange(len(columns)), np.arange(len(rows))
    colours = mpl.colormaps["PuOr_r"].resampled(LEVELS)
    cells = panel.pcolormesh(
        *places, values, cmap=colours, vmin=-1, vmax=1, shading="nearest", edgecolors="white", lw=0.4
    )
    panel.invert_yaxis()
    panel.grid(False)
    panel.set_xticks(range(len(columns)), columns, rotation=40, ha="right")
    panel.set_yticks(range(len(rows)), rows)
    for (row, column), value in np.ndenumerate(values):
        text = format_stat(None if np.isnan(value) else float(value))
        colour = "white" if abs(value) > 0.7 else "black"
        # It lies within its cell, so the layout need not measure it.
        panel.text(column, row, text, ha="center", va="center", fontsize=7, color=colour, in_layout=False)
    for row, name in enumerate(rows):
        figure.record(_row_mark(row, name, values[row], columns, label), [])
    figure.colorbar(cells, ax=panel, label=label, shrink=0.8)
    note(figure, [f"The first {MOST_MEASURES} of {measures} measures."] if measures > MOST_MEASURES else [])
    return figure


def _row_mark(row: int, name: str, values: np.ndarray, columns: Sequence[str], label: str) -> Mark:
    """Return the cells of a row, each with its value in words."""
    stats = [format_stat(None if np.isnan(value) else float(value)) for value in values]
    texts = tuple(f"{label}, {column}: {stat}" for column, stat in zip(columns, stats, strict=True))
    return Mark(0, (), name, tuple(map(float, range(len(columns)))), (float(row),) * len(columns), texts=texts)
