"""Heat maps with numbers: rank correlations between measures, and ψ by axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from infomcr_cli.judging.rank_correlation import spearman_rho
from infomcr_cli.judging.ties import merge_ties
from infomcr_cli.report.comparison import Comparison
from infomcr_cli.report.evaluated_run import gaps_of, measure_names, values_of
from infomcr_cli.report.plots.style import note, short
from infomcr_cli.report.tables import mark_mixed

MOST_MEASURES = 40


def between_measures(comparison: Comparison) -> Figure | None:
    """Return Spearman's ρ of every pair of measures and the gap; None with fewer than two measures or three runs."""
    names = measure_names(comparison.included)
    shown = [name for name in comparison.measures if name in names][:MOST_MEASURES]
    if len(shown) < 2 or len(comparison.included) < 3:
        return None
    columns = [merge_ties(one, np.abs(one)) for one in (values_of(comparison.included, name) for name in shown)]
    gaps = gaps_of(comparison.included, comparison.gap)
    columns.append(merge_ties(gaps, np.maximum(np.abs(gaps), 1.0)))
    values = np.array([[_rho(one, other) for other in columns] for one in columns])
    labels = [*(mark_mixed(short(name), name in comparison.mixed_measures) for name in shown), "gap"]
    return _heatmap(values, labels, labels, "Spearman's ρ", len(comparison.measures))


def psi_by_axis(comparison: Comparison) -> Figure | None:
    """Return ψ of every measure on every axis, with Ψ; None if no axis has a usable group."""
    results = [*comparison.ranking.measures[:MOST_MEASURES], *comparison.ranking.controls]
    axes = [name for name, count in results[0].granulated_psi.groups.items() if count] if results else []
    if not axes:
        return None
    rows = [[one.granulated_psi.axes[axis] for axis in axes] + [one.granulated_psi.value] for one in results]
    values = np.array([[np.nan if value is None else value for value in row] for row in rows])
    labels = [mark_mixed(short(one.name), one.mixed) for one in results]
    return _heatmap(values, labels, [*map(short, axes), "Ψ"], "ψ", len(comparison.measures))


def _rho(one: np.ndarray, other: np.ndarray) -> float:
    known = np.isfinite(one) & np.isfinite(other)
    return spearman_rho(one[known], other[known]) if known.sum() >= 3 else float("nan")


def _heatmap(values: np.ndarray, rows: Sequence[str], columns: Sequence[str], label: str, measures: int) -> Figure:
    height, width = 0.34 * len(rows) + 1.5, 0.55 * len(columns) + 3.0
    figure = Figure(figsize=(max(width, 4.5), max(height, 2.5)), layout="constrained", dpi=150)
    panel = figure.subplots()
    image = panel.imshow(values, cmap="PuOr_r", vmin=-1, vmax=1, aspect="auto")
    panel.grid(False)
    panel.set_xticks(range(len(columns)), columns, rotation=40, ha="right")
    panel.set_yticks(range(len(rows)), rows)
    for (row, column), value in np.ndenumerate(values):
        text = "–" if np.isnan(value) else f"{value:.2f}"
        colour = "white" if abs(value) > 0.7 else "black"
        panel.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
    figure.colorbar(image, ax=panel, label=label, shrink=0.8)
    note(figure, [f"The first {MOST_MEASURES} of {measures} measures."] if measures > MOST_MEASURES else [])
    return figure
