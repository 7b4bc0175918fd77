"""The tables of a comparison as plain text cells: what the terminal and the HTML page both show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from infomcr_cli.judging.result import SYMBOLS, Estimate, Granulated, MeasureResult, RankingResult, SignError
from infomcr_cli.report.comparison import Comparison, gap_of
from infomcr_cli.report.compute import UNIT
from infomcr_cli.report.evaluated_run import EvaluatedRun
from infomcr_cli.report.gather import GAPS
from infomcr_cli.runs.measures_file import Evaluation

NONE = "–"
_RUNS_CAPTION = (
    f"± is the standard deviation over seeds. compute: forward and backward passes of the training, in {UNIT}."
)
_VERDICT_CAPTION = (
    "[low, high]: 95 % bootstrap intervals, [–] where there are too few groups or environments to resample. Raw "
    "correlation of the measure with the gap: where higher is better, a good measure stands near −1. (groups), (share "
    "of pairs), (pairs) stand behind Ψ, K and the sign error. (random) is one draw of noise: how far from nothing "
    "chance alone gets."
)


@dataclass(frozen=True)
class TextTable:
    """A table of text. The first column names the row and is repeated wherever the table is broken."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""


def figure(value: float | None, digits: int = 3) -> str:
    """Return a number with a few significant digits, or a dash where there is none."""
    if value is None or not np.isfinite(value):
        return NONE
    return f"{value:.{digits}g}" if abs(value) < 1000 else f"{value:.4g}"


def plain(value: float | None) -> str:
    """Return a statistic with two decimals, or a dash where there is none."""
    return NONE if value is None else f"{round(value, 2) + 0.0:.2f}"  # adding 0 takes the sign off a negative zero


def mark_mixed(name: str, mixed: bool) -> str:
    """Return a name with the sign of numbers of several conventions, which --allow-mixed lets through."""
    return f"{name}*" if mixed else name


def runs_table(comparison: Comparison) -> TextTable:
    """Return what differs between the runs, gaps, compute and measures; replicates as mean ± standard deviation."""
    groups = replicates(comparison)
    numbered = [entry for members in groups for entry in members[:1]]
    columns: list[tuple[str, list[str]]] = [("#", [str(index + 1) for index in range(len(groups))])]
    columns += [("run", [_name(members) for members in groups])]
    for axis in comparison.axes:
        of_run = dict(zip((entry.name for entry in comparison.judged), axis.labels, strict=True))
        columns.append((axis.name, [of_run[entry.name] for entry in numbered]))
    for gap in dict.fromkeys((comparison.gap, *GAPS)):
        columns.append((GAPS[gap], [_mean_std(gap_of(one, gap) for one in _found(members)) for members in groups]))
    columns.append(("compute", [_mean_std(map(_compute, members)) for members in groups]))
    for name in comparison.measures:
        cells = [_mean_std(_value(one, name) for one in _found(members)) for members in groups]
        columns.append((mark_mixed(name, name in comparison.mixed_measures), cells))
    return _grid("Runs", columns, _RUNS_CAPTION)


def excluded_table(comparison: Comparison) -> TextTable:
    """Return the runs outside the verdict, with the reason."""
    apart = [(entry, "missed its training-loss target") for entry in comparison.apart]
    without = [(entry, f"not evaluated ({entry.state})") for entry in comparison.unevaluated]
    rows = [(entry.name, why, _training_loss(entry)) for entry, why in (*apart, *without)]
    rows += [(name, "cannot be read", NONE) for name in comparison.verdict.left_out.runs]
    return TextTable("Outside the verdict", ("run", "why", "training loss"), tuple(rows))


def ranking_table(verdict: RankingResult) -> TextTable:
    """Return the statistics of every measure, the oracle and the random row last."""
    ranked = [*verdict.measures, *verdict.references]
    references = {one.name for one in verdict.references}
    bests = {one.against_best.best for one in verdict.measures if one.against_best}
    columns = [
        ("measure", [_marked(one, references) for one in ranked]),
        ("better", [one.direction or NONE for one in ranked]),
        ("n", [str(one.n) for one in ranked]),
        ("τ", [_estimate(one.kendall_tau) for one in ranked]),
        ("ρ", [_estimate(one.spearman_rho) for one in ranked]),
        ("Ψ", [_psi(one.granulated_psi) for one in ranked]),
        ("K", [_information(one) for one in ranked]),
        ("sign error", [_sign_error(one.sign_error) for one in ranked]),
        ("q90, max", [_worst(one.sign_error) for one in ranked]),
        (_behind_what(verdict), [_behind(one, bests) for one in ranked]),
    ]
    return _grid("RankingResult", columns, _VERDICT_CAPTION)


def psi_table(verdict: RankingResult) -> TextTable:
    """Return ψ by axis, with the number of groups."""
    columns = [("measure", [mark_mixed(one.name, one.mixed) for one in verdict.measures])]
    for axis in verdict.axes:
        cells = [
            f"{plain(one.granulated_psi.axes[axis])} ({one.granulated_psi.groups[axis]})" for one in verdict.measures
        ]
        columns.append((axis, cells))
    return _grid("ψ by axis", columns, "(groups that have a say)")


def replicates(comparison: Comparison) -> list[list[EvaluatedRun]]:
    """Return the judged runs grouped by what differs beside the seed, in their order."""
    groups: dict[tuple[str, ...], list[EvaluatedRun]] = {}
    for index, entry in enumerate(comparison.judged):
        groups.setdefault(tuple(axis.labels[index] for axis in comparison.axes), []).append(entry)
    return list(groups.values())


def _grid(title: str, columns: Sequence[tuple[str, list[str]]], caption: str = "") -> TextTable:
    return TextTable(
        title, tuple(head for head, _ in columns), tuple(zip(*(cells for _, cells in columns), strict=True)), caption
    )


def _found(members: Iterable[EvaluatedRun]) -> list[Evaluation]:
    return [entry.evaluation for entry in members if entry.evaluation]


def _value(evaluation: Evaluation, name: str) -> float | None:
    measured = evaluation.measures.get(name)
    return None if measured is None else measured.value


def _compute(entry: EvaluatedRun) -> float | None:
    return entry.compute.epochs if entry.compute else None


def _name(members: Sequence[EvaluatedRun]) -> str:
    return members[0].name if len(members) == 1 else f"{members[0].name} + {len(members) - 1} seeds"


def _mean_std(values: Iterable[float | None]) -> str:
    known = np.array([value for value in values if value is not None])
    if len(known) < 2:
        return figure(float(known[0])) if len(known) else NONE
    with np.errstate(over="ignore", invalid="ignore"):
        return f"{figure(float(known.mean()))} ± {figure(float(known.std(ddof=1)), 2)}"


def _training_loss(entry: EvaluatedRun) -> str:
    return figure(entry.evaluation.train.loss) if entry.evaluation else NONE


def _marked(one: MeasureResult, references: set[str]) -> str:
    return f"({one.name})" if one.name in references else mark_mixed(one.name, one.mixed)


def _within(value: float | None, low: float | None, high: float | None) -> str:
    """Return a statistic with its interval, [–] where it has none, or a dash where there is no statistic."""
    if value is None:
        return NONE
    interval = NONE if low is None or high is None else f"{plain(low)}, {plain(high)}"
    return f"{plain(value)} [{interval}]"


def _estimate(one: Estimate) -> str:
    return _within(one.value, one.low, one.high)


def _psi(one: Granulated) -> str:
    groups = f" ({sum(one.groups.values())})" if one.value is not None else ""
    return _within(one.value, one.low, one.high) + groups


def _information(one: MeasureResult) -> str:
    found = one.conditional_information
    share = "" if found.pairs_used is None or found.value is None else f" ({found.pairs_used:.0%})"
    return plain(found.value) + share + (" sampled" if found.sampled else "")


def _sign_error(one: SignError) -> str:
    return f"{_within(one.mean, one.low, one.high)} ({one.pairs})"


def _worst(one: SignError) -> str:
    return NONE if one.mean is None else f"{plain(one.q90)}, {plain(one.max)}"


def _behind_what(verdict: RankingResult) -> str:
    """Name the statistic that differences are of: that of the ranking, τ where it is one that is not resampled."""
    of = next((one.against_best.statistic for one in verdict.measures if one.against_best), verdict.rank_by)
    return f"behind the best in {SYMBOLS[of]}"


def _behind(one: MeasureResult, bests: set[str]) -> str:
    paired = one.against_best
    if one.name in bests:
        return "best"
    if paired is None or paired.difference is None:
        return NONE
    shown = _within(paired.difference, paired.low, paired.high)
    return mark_mixed(shown, paired.mixed) + (" apart" if paired.apart else "")
