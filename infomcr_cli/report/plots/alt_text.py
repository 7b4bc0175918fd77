"""What each plot shows, in words, for someone who cannot see it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from infomcr_cli.report.comparison import Comparison
from infomcr_cli.report.evaluated_run import GAPS
from infomcr_cli.report.plots.curves import groups_shown, runs_shown
from infomcr_cli.report.plots.scatter import GAMMA, points
from infomcr_cli.report.tables import format_number, format_stat


def gamma_against_gap(comparison: Comparison) -> str:
    """Describe the large panel of gamma."""
    found = points(comparison, GAMMA)
    result = next(one for one in comparison.ranking.measures if one.name == GAMMA)
    tau = result.oriented("kendall_tau")
    ranks = "" if tau is None or not comparison.ranking.ranked else f" Rank correlation τ = {format_stat(tau)}."
    settings = "one setting" if len(found) == 1 else f"{len(found)} settings"
    gamma = _range((point.x for point in found), "nats")
    gap = _range((point.y for point in found), "nats" if comparison.gap == "loss" else "%")
    return f"Scatter plot of {settings}: gamma {gamma}, {GAPS[comparison.gap]} {gap}.{ranks}"


def measures_against_gap(comparison: Comparison, names: Sequence[str]) -> str:
    """Describe one picture of measures."""
    return f"Scatter plots of the {GAPS[comparison.gap]} against {', '.join(names)}."


def training_curves(comparison: Comparison) -> str:
    """Describe the training curves by where they end."""
    runs = runs_shown(comparison)
    errors = [error for run in runs if (error := run.shown_gap("test_error")) is not None]
    losses = [run.evaluation.train.loss for run in runs if run.evaluation.train.loss is not None]
    ends = [f"training loss {_range(losses, 'nats')}"] if losses else []
    ends += [f"test error {_range(errors, '%')}"] if errors else []
    at_end = f" At the end: {', '.join(ends)}." if ends else ""
    lines = _lines(comparison, "Lines over epochs")
    return f"{lines}: losses, errors and learning rate.{at_end}"


def psi_by_axis(comparison: Comparison) -> str:
    """Describe the heat map of ψ."""
    axes = ", ".join(axis.name for axis in comparison.axes)
    count = len(comparison.measures)
    return f"Heat map of ψ of {count} measures on the axes {axes}. The table ψ by axis has the numbers."


def between_measures(comparison: Comparison) -> str:
    """Describe the heat map of correlations."""
    return f"Heat map of Spearman's ρ between {len(comparison.measures)} measures and the {GAPS[comparison.gap]}."


def gamma_along_training(comparison: Comparison) -> str:
    """Describe the lines of gamma."""
    return f"{_lines(comparison, 'Lines of gamma over training steps')}."


def spectra(comparison: Comparison) -> str:
    """Describe the spectra."""
    what = "Lines of the eigenvalues of the Gram matrix by rank, descending, on a logarithmic axis,"
    return f"{_lines(comparison, what)}."


def _lines(comparison: Comparison, what: str) -> str:
    """Return what is drawn, and of how many runs; runs that differ only in their seed are one line."""
    runs, groups = len(runs_shown(comparison)), len(groups_shown(comparison))
    means = f", as {groups} means over seeds with bands" if groups < runs else ""
    return f"{what} of {runs} runs{means}"


def _range(values: Iterable[float], unit: str) -> str:
    """Return the range of some numbers in words.

    Examples:
        >>> _range([1.0, 3.0], "%"), _range([2.0], "nats")
        ('from 1 to 3 %', '2 nats')
    """
    known = np.array(list(values))
    low, high = format_number(float(known.min())), format_number(float(known.max()))
    return f"{low} {unit}" if low == high else f"from {low} to {high} {unit}"
