"""The statistics of measures as tables of text: positive means that a measure ranks as its direction claims."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from infomcr_cli.judging.judge import FEWEST
from infomcr_cli.judging.result import SYMBOLS, MeasureResult, RankingResult
from infomcr_cli.report.tables import NONE, TextTable, format_p_value, format_stat, mark_mixed

_ORIENTED = "Positive: the measure ranks as its direction (column better) claims"
_IN_PARENTHESES = {  # column → what stands there
    "Ψ": "the number of groups of Ψ",
    "K": "the share of pairs in which the measure differs",
    "sign error": "the number of pairs used for the sign error, which is the share of pairs in the wrong order",
}
_FRAGILITY = (
    "fragility: the spread under changes that should not matter, divided by the spread between minima (`infomcr audit`)"
)
OTHER = "other"  # family of a measure that is not in the registry
_INTERVALS = "[low, high]: 95 % intervals. (oracle) is the gap with a little noise, (random) is pure noise"


def ranking_tables(ranking: RankingResult, fragility: Mapping[str, float] | None = None) -> list[TextTable]:
    """Return the statistics, and ψ by axis and the importance of the axes if there is more than one axis."""
    tables = [ranking_table(ranking, fragility), families_table(ranking)]
    if len(ranking.axes) > 1:
        tables += [psi_table(ranking), importance_table(ranking)]
    return [table for table in tables if table.rows]


def ranking_table(ranking: RankingResult, fragility: Mapping[str, float] | None = None) -> TextTable:
    """Return the statistics of every measure that varies; with enough minima also intervals, differences, controls.

    The controls, an oracle and a random measure, are the last rows.

    Args:
        fragility: measure → what an audit says of it; a column of its own.
    """
    shown = [one for one in ranking.measures if not _is_constant(one)]
    results = [*shown, *(ranking.controls if ranking.ranked and shown else ())]
    columns = dict(_columns(ranking, results))
    if fragility:
        columns["fragility"] = [format_stat(fragility.get(one.name)) for one in results]
    rows = zip(*columns.values(), strict=True)
    return TextTable(
        "Ranking" if ranking.ranked else "Measures",
        tuple(columns),
        tuple(rows),
        _caption(ranking, columns, bool(fragility)),
    )


def psi_table(ranking: RankingResult) -> TextTable:
    """Return ψ of every measure on every axis that has a group, with the number of groups and the axis's importance."""
    axes = [axis for axis in ranking.axes if any(one.granulated_psi.groups.get(axis) for one in ranking.measures)]
    rows = [
        (mark_mixed(one.name, one.mixed), *(_psi(one, axis) for axis in axes))
        for one in ranking.measures
        if not _is_constant(one)
    ]
    caption = "Positive: as the direction claims. In parentheses: the number of groups in which the gap varies."
    return TextTable("ψ by axis", ("measure", *axes), tuple(rows) if axes else (), caption)


def importance_table(ranking: RankingResult) -> TextTable:
    """Return the share of the gap's variance that each axis explains on its own; no rows for too few minima."""
    shares = ranking.importance if ranking.ranked else {}
    known = {axis: share for axis, share in shares.items() if share is not None}
    rows = sorted(known.items(), key=lambda item: -item[1])
    caption = "ω²: the share of the gap's variance that the axis explains, corrected for chance."
    return TextTable(
        "Importance of the axes for the gap",
        ("setting", "share, %"),
        tuple((axis, f"{100 * share:.0f}") for axis, share in rows),
        caption,
    )


def measures_by_family(ranking: RankingResult) -> dict[str, tuple[str, ...]]:
    """Return family → its measures, in the order of the ranking; families by their best measure.

    The registry is imported only here: it takes more than a second.
    """
    from infomcr_cli.measures.base import chosen_measures

    family_of = {one.name: str(one.family) for one in chosen_measures()}
    found: dict[str, tuple[str, ...]] = {}
    for one in ranking.measures:
        family = family_of.get(one.name, OTHER)
        found[family] = (*found.get(family, ()), one.name)
    return found


def families_table(ranking: RankingResult) -> TextTable:
    """Return the best measure of each family; no rows if that was not wanted or there are too few minima."""
    results = {one.name: one for one in ranking.measures}
    head = ("family", "best measure", SYMBOLS[ranking.rank_by], "of measures")
    rows = [
        (
            family,
            NONE if best is None else mark_mixed(best, results[best].mixed),
            NONE if best is None else format_stat(results[best].oriented(ranking.rank_by)),
            str(len(names)),
        )
        for family, names in (ranking.families or {}).items()
        for best in (ranking.best_of(names),)
    ]
    return TextTable("Best measure of each family", head, tuple(rows) if ranking.ranked else ())


def _columns(ranking: RankingResult, results: Sequence[MeasureResult]) -> Iterator[tuple[str, list[str]]]:
    controls = {one.name for one in ranking.controls}
    yield "measure", [f"({one.name})" if one.name in controls else mark_mixed(one.name, one.mixed) for one in results]
    if any(one.direction for one in results):
        yield "better", [NONE if one.name in controls else one.direction or "lower" for one in results]
    if any(one.n != ranking.n for one in results):
        yield "n", [str(one.n) for one in results]
    for name in ("kendall_tau", "spearman_rho", "granulated_psi"):
        cells = [_with_interval(one.oriented_estimate(name), ranking.ranked) for one in results]
        if name == "granulated_psi":
            cells = [
                cell if cell == NONE else f"{cell} ({sum(one.granulated_psi.groups.values())})"
                for cell, one in zip(cells, results, strict=True)
            ]
        if any(cell != NONE for cell in cells):
            yield SYMBOLS[name], cells
    if any(one.conditional_information.value is not None for one in results):
        yield "K", [_information(one) for one in results]
    if any(one.sign_error.mean is not None for one in results):
        errors = [one.oriented_sign_error for one in results]
        yield "sign error", [NONE if one.mean is None else f"{format_stat(one.mean)} ({one.pairs})" for one in errors]
        quantiles = [f"{format_stat(one.q90)}, {format_stat(one.max)}" for one in errors]
        yield "q90, max", [NONE if one.mean is None else text for one, text in zip(errors, quantiles, strict=True)]
    compared = next((one.against_best for one in results if one.against_best), None)
    if compared:
        yield f"behind the best in {SYMBOLS[compared.statistic]}", [_behind(one, compared.best) for one in results]


def _caption(ranking: RankingResult, columns: Collection[str], is_audited: bool) -> str:
    parts = [_ORIENTED]
    if explained := [text for column, text in _IN_PARENTHESES.items() if column in columns]:
        parts.append(f"In parentheses: {', '.join(explained)}")
    if ranking.ranked:
        parts.append(_INTERVALS)
    if compared := next((one.against_best for one in ranking.measures if one.against_best), None):
        parts.append(
            f"significant: worse than the best of {compared.compared} measures "
            "(p, the p-value corrected for that choice, below 0.05)"
        )
        if compared.statistic != ranking.rank_by:
            parts.append(
                f"Ranked by {SYMBOLS[ranking.rank_by]}, which has no interval, so differences from the best are of "
                f"{SYMBOLS[compared.statistic]}"
            )
    if is_audited:
        parts.append(_FRAGILITY)
    hidden = [one for one in ranking.measures if _is_constant(one)]
    if constant := [one.name for one in hidden if one.n >= FEWEST]:
        parts.append(f"Not shown, because they do not vary: {', '.join(constant)}")
    if rare := [one.name for one in hidden if one.n < FEWEST]:
        parts.append(f"Not shown, because they have fewer than {FEWEST} values: {', '.join(rare)}")
    return ". ".join(parts) + "."


def _is_constant(one: MeasureResult) -> bool:
    """Return whether a measure has no rank correlation: it or the gap is constant, or it has hardly any value."""
    return one.kendall_tau.value is None


def _psi(one: MeasureResult, axis: str) -> str:
    value = one.granulated_psi.axes[axis]
    shown = NONE if value is None else format_stat(one.orient("granulated_psi", value))
    return f"{shown} ({one.granulated_psi.groups[axis]})"


def _with_interval(estimate: tuple[float | None, float | None, float | None], ranked: bool) -> str:
    """Return a statistic with its interval, [–] if it alone has none, or a dash if there is no statistic."""
    value, low, high = estimate
    if value is None or not ranked:
        return format_stat(value)
    interval = NONE if low is None or high is None else f"{format_stat(low)}, {format_stat(high)}"
    return f"{format_stat(value)} [{interval}]"


def _information(one: MeasureResult) -> str:
    information = one.conditional_information
    share = "" if None in (information.value, information.pairs_used) else f" ({information.pairs_used:.0%})"
    return format_stat(information.value) + share + (" sampled" if information.sampled else "")


def _behind(one: MeasureResult, best: str) -> str:
    difference = one.against_best
    if one.name == best:
        return "best"
    if difference is None or difference.p_value is None:
        return NONE
    p_value = f"p {format_p_value(difference.p_value, 'f', 3)}"
    shown = f"{mark_mixed(format_stat(difference.difference), difference.mixed)} ({p_value})"
    return f"{shown} significant" if difference.significant else shown
