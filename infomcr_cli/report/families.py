"""The measures of a ranking by family, and the best measure of each."""

from __future__ import annotations

from infomcr_cli.judging.result import SYMBOLS, RankingResult
from infomcr_cli.report.tables import NONE, TextTable, format_stat, mark_mixed

OTHER = "other"  # family of a measure that is not in the registry


def by_family(ranking: RankingResult) -> dict[str, tuple[str, ...]]:
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
