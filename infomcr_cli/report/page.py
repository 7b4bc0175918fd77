"""A comparison as one HTML page that makes no request; every text is escaped, the only script is the page's own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from infomcr_cli.report.barriers import barriers_table
from infomcr_cli.report.comparison import Comparison
from infomcr_cli.report.evaluated_run import GAPS
from infomcr_cli.report.output_files import write_whole
from infomcr_cli.report.page_parts import Picture, Section, picture_of, render_page
from infomcr_cli.report.page_tables import (
    PageTable,
    differences_table,
    differing_settings,
    page_table,
    runs_of_rows,
    runs_tables,
    shared_settings,
)
from infomcr_cli.report.plots.style import Plot
from infomcr_cli.report.ranking_table import families_table, importance_table, psi_table, ranking_table
from infomcr_cli.report.tables import NONE, runs_table, unranked_table

_CAPTIONS = {
    "gamma-gap": (
        "Large markers: means over the seeds of a setting. Small hollow markers: seeds. Bars: the standard deviation "
        "over seeds, or the standard error of a single seed."
    ),
}


def write_page(comparison: Comparison, plots: Sequence[Plot], path: Path, *, is_moved: bool = False) -> None:
    """Write the page.

    Args:
        is_moved: the page will be read elsewhere than at `path`; links to run folders are absolute.

    Raises:
        InputError: the file cannot be written.
    """
    page = render_page(
        "page.html.jinja",
        plots,
        comparison=comparison,
        gap=GAPS[comparison.gap],
        sections=_sections(comparison, plots, None if is_moved else path.parent),
    )
    write_whole(path, page, "--html")


def _sections(comparison: Comparison, plots: Sequence[Plot], place: Path | None) -> list[Section]:
    """Return what the page shows, in the order of a reader's questions."""
    gap = GAPS[comparison.gap]
    by_axis = [psi_table(comparison.ranking), importance_table(comparison.ranking)] if len(comparison.axes) > 1 else []
    psi = [table for table in (page_table("psi", one) for one in by_axis) if _says_something(table)]
    everything = replace(
        page_table("all-measures", runs_table(comparison)),
        title="All measures of the runs",
        runs=runs_of_rows(comparison),
    )
    unranked = [unranked_table(comparison)] if comparison.has_unranked_runs else []
    searched = [page_table("search", one) for one in comparison.search.tables()] if comparison.search else []
    sections = [
        *([Section("search", "Result of the search", searched)] if searched else []),
        _of_table(differences_table(comparison)),
        *(_of_table(one) for one in runs_tables(comparison, place)),
        *(_of_table(page_table("unranked", one)) for one in unranked),
        Section("training-curves", "Training curves", pictures=_pictures(plots, "training")),
        Section("gamma-gap", f"Gamma against the {gap}", pictures=_pictures(plots, "gamma-gap")),
        _of_table(page_table("ranking", ranking_table(comparison.ranking, comparison.fragility))),
        _of_table(page_table("families", families_table(comparison.ranking))),
        *(_of_table(page_table("barriers", barriers_table(found))) for found in [comparison.barriers] if found),
        Section("measures", f"Other measures against the {gap}", pictures=_pictures(plots, "measures"), is_folded=True),
        _of_table(everything, is_folded=True),
        Section("psi", "ψ by axis", psi, _pictures(plots, "psi"), is_folded=True),
        Section("correlations", "Correlations between measures", (), _pictures(plots, "correlations"), is_folded=True),
        Section("gamma", "Gamma along training", pictures=_pictures(plots, "gamma"), is_folded=True),
        Section("spectra", "Spectra of the Gram matrix", pictures=_pictures(plots, "spectra"), is_folded=True),
        _of_table(differing_settings(comparison), is_folded=True),
        _of_table(shared_settings(comparison), is_folded=True),
    ]
    return [one for one in sections if not one.is_empty]


def _of_table(table: PageTable, *, is_folded: bool = False) -> Section:
    return Section(table.name, table.title, (table,), is_folded=is_folded or table.folded)


def _pictures(plots: Sequence[Plot], name: str) -> list[Picture]:
    """Return the plot of a name and its numbered parts, such as measures-2."""
    named = re.compile(rf"{re.escape(name)}(-\d+)?")
    return [picture_of(one, _CAPTIONS.get(one.name, "")) for one in plots if named.fullmatch(one.name)]


def _says_something(table: PageTable) -> bool:
    """Return whether a cell beside the names holds a number: a table of dashes takes no room."""
    return any(cell.text[:1] not in ("", NONE) for row in table.rows for cell in row[1:])
