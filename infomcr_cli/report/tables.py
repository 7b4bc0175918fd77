"""The tables of a comparison as text cells, which the terminal and the HTML page both show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from infomcr_cli.judging.result import SYMBOLS, MeasureResult, RankingResult
from infomcr_cli.report.comparison import Comparison
from infomcr_cli.report.compute import UNIT
from infomcr_cli.report.evaluated_run import EvaluatedRun
from infomcr_cli.report.gather import GAPS

NONE = "–"
_RUNS_CAPTION = (
    f"± is the standard deviation over seeds. compute: forward and backward passes of the training, in {UNIT}."
)
_RANKING_CAPTION = (
    "[low, high]: 95 % bootstrap intervals, [–] if there are too few groups or environments to resample. Correlations "
    "are of the raw measure with the gap: if higher is better, a good value is near −1. In parentheses: the number of "
    "groups of Ψ, the share of pairs of K, the number of pairs of the sign error. significant: the interval of the "
    "difference excludes 0. (oracle) is the gap with a little noise; (random) shows what chance alone achieves."
)


@dataclass(frozen=True)
class TextTable:
    """A table of text. The first column names the row and is repeated if the table is too wide for one block."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""


def format_number(value: float | None, digits: int = 3) -> str:
    """Return a number with a few significant digits, or a dash if there is none.

    Examples:
        >>> format_number(0.12345), format_number(1.5e6), format_number(None)
        ('0.123', '1.5e+06', '–')
    """
    if value is None or not np.isfinite(value):
        return NONE
    return f"{value:.{digits}g}" if abs(value) < 1000 else f"{value:.4g}"


def format_stat(value: float | None) -> str:
    """Return a statistic with two decimals, or a dash if there is none.

    Examples:
        >>> format_stat(-0.001), format_stat(None)
        ('0.00', '–')
    """
    return NONE if value is None else f"{round(value, 2) + 0.0:.2f}"  # adding 0 removes the sign of a negative zero


def mark_mixed(name: str, mixed: bool) -> str:
    """Return a name, with a star if its numbers are of several conventions, which --allow-mixed permits."""
    return f"{name}*" if mixed else name


def runs_table(comparison: Comparison) -> TextTable:
    """Return the settings that differ, gaps, compute and measures of the ranked runs; replicates as mean ± std."""
    groups = replicates(comparison)
    names = []
    for members in groups:
        more = len(members) - 1
        names.append(members[0].name + (f" + {more} seed{'s' if more > 1 else ''}" if more else ""))
    columns = [("#", [str(index + 1) for index in range(len(groups))]), ("run", names)]
    for axis in comparison.axes:
        label_of = dict(zip((run.name for run in comparison.included), axis.labels, strict=True))
        columns.append((axis.name, [label_of[members[0].name] for members in groups]))
    columns += [
        (GAPS[gap], [_mean_std(run.gap(gap) for run in members) for members in groups])
        for gap in dict.fromkeys((comparison.gap, *GAPS))
    ]
    costs = [_mean_std(run.compute.epochs if run.compute else None for run in members) for members in groups]
    columns.append(("compute", costs))
    for name in comparison.measures:
        head = mark_mixed(name, name in comparison.mixed_measures)
        columns.append((head, [_mean_std(run.value(name) for run in members) for members in groups]))
    heads, cells = zip(*columns, strict=True)
    return TextTable("Runs", heads, tuple(zip(*cells, strict=True)), _RUNS_CAPTION)


def unranked_table(comparison: Comparison) -> TextTable:
    """Return the runs that are not ranked, with the reason."""
    rows = [
        (run.name, "missed its training-loss target", format_number(run.evaluation.train.loss))
        for run in comparison.excluded
    ]
    rows += [(run.name, f"not evaluated ({run.state})", NONE) for run in comparison.unevaluated]
    rows += [(name, "cannot be read", NONE) for name in comparison.ranking.left_out.runs]
    return TextTable("Runs that are not ranked", ("run", "why", "training loss"), tuple(rows))


def ranking_table(ranking: RankingResult) -> TextTable:
    """Return the statistics of every measure, with the oracle and the random measure in the last rows."""
    best = {one.against_best.best for one in ranking.measures if one.against_best}
    # the statistic that was resampled: τ if that of the ranking was not
    statistic = next((one.against_best.statistic for one in ranking.measures if one.against_best), ranking.rank_by)
    behind = f"behind the best in {SYMBOLS[statistic]}"
    head = ("measure", "better", "n", "τ", "ρ", "Ψ", "K", "sign error", "q90, max", behind)
    rows = [(mark_mixed(one.name, one.mixed), *_statistics(one), _behind(one, best)) for one in ranking.measures]
    rows += [(f"({one.name})", *_statistics(one), _behind(one, best)) for one in ranking.controls]
    return TextTable("Ranking", head, tuple(rows), _RANKING_CAPTION)


def psi_table(ranking: RankingResult) -> TextTable:
    """Return ψ of every measure on every axis, with the number of groups."""
    rows = [
        (
            mark_mixed(one.name, one.mixed),
            *(f"{format_stat(one.granulated_psi.axes[a])} ({one.granulated_psi.groups[a]})" for a in ranking.axes),
        )
        for one in ranking.measures
    ]
    return TextTable("ψ by axis", ("measure", *ranking.axes), tuple(rows), "(number of groups in which the gap varies)")


def replicates(comparison: Comparison) -> list[list[EvaluatedRun]]:
    """Return the ranked runs grouped by their labels on all axes, in their order: a group differs in its seeds."""
    groups: dict[tuple[str, ...], list[EvaluatedRun]] = {}
    for index, run in enumerate(comparison.included):
        groups.setdefault(tuple(axis.labels[index] for axis in comparison.axes), []).append(run)
    return list(groups.values())


def _mean_std(values: Iterable[float | None]) -> str:
    known = np.array([value for value in values if value is not None])
    if len(known) < 2:
        return format_number(float(known[0])) if len(known) else NONE
    with np.errstate(over="ignore", invalid="ignore"):
        return f"{format_number(float(known.mean()))} ± {format_number(float(known.std(ddof=1)), 2)}"


def _statistics(one: MeasureResult) -> Sequence[str]:
    """Return the cells from "better" to "q90, max"."""
    tau, rho, psi, error = one.kendall_tau, one.spearman_rho, one.granulated_psi, one.sign_error
    information = one.conditional_information
    groups = "" if psi.value is None else f" ({sum(psi.groups.values())})"
    share = "" if None in (information.value, information.pairs_used) else f" ({information.pairs_used:.0%})"
    return (
        one.direction or NONE,
        str(one.n),
        _with_interval(tau.value, tau.low, tau.high),
        _with_interval(rho.value, rho.low, rho.high),
        _with_interval(psi.value, psi.low, psi.high) + groups,
        format_stat(information.value) + share + (" sampled" if information.sampled else ""),
        f"{_with_interval(error.mean, error.low, error.high)} ({error.pairs})",
        NONE if error.mean is None else f"{format_stat(error.q90)}, {format_stat(error.max)}",
    )


def _behind(one: MeasureResult, best: set[str]) -> str:
    difference = one.against_best
    if one.name in best:
        return "best"
    if difference is None or difference.difference is None:
        return NONE
    shown = _with_interval(difference.difference, difference.low, difference.high)
    return mark_mixed(shown, difference.mixed) + (" significant" if difference.significant else "")


def _with_interval(value: float | None, low: float | None, high: float | None) -> str:
    """Return a statistic with its interval, [–] if it has none, or a dash if there is no statistic."""
    if value is None:
        return NONE
    interval = NONE if low is None or high is None else f"{format_stat(low)}, {format_stat(high)}"
    return f"{format_stat(value)} [{interval}]"
