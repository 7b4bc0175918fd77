"""A comparison as one HTML page that makes no request; every text is escaped, the only script is the page's own."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from infomcr_cli import __version__
from infomcr_cli.report.comparison import Comparison
from infomcr_cli.report.families import families_table
from infomcr_cli.report.gather import GAPS
from infomcr_cli.report.output_files import write_whole
from infomcr_cli.report.page_tables import (
    PageTable,
    differences_table,
    differing_settings,
    page_table,
    runs_tables,
    shared_settings,
)
from infomcr_cli.report.plots.style import Plot
from infomcr_cli.report.ranking_table import importance_table, psi_table, ranking_table
from infomcr_cli.report.tables import NONE, runs_table, unranked_table

_HERE = Path(__file__).parent
_CAPTIONS = {
    "gamma-gap": (
        "A large marker is the mean over the seeds of a setting, a small hollow one a seed. Bars: the standard "
        "deviation over seeds, of a single seed the standard error."
    ),
}


@dataclass(frozen=True)
class _Image:
    alt: str
    address: str
    caption: str


@dataclass(frozen=True)
class _Section:
    """A part of the page that the list of contents names: tables, plots, or both."""

    name: str
    title: str
    tables: Sequence[PageTable] = ()
    images: Sequence[_Image] = ()
    folded: bool = False


def write_page(comparison: Comparison, plots: Sequence[Plot], path: Path, *, is_moved: bool = False) -> None:
    """Write the page.

    Args:
        is_moved: the page will be read elsewhere than at `path`; links to run folders are absolute.

    Raises:
        InputError: the file cannot be written.
    """
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    style, script = ((_HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    page = environment.get_template("page.html.jinja").render(
        version=__version__,
        comparison=comparison,
        gap=GAPS[comparison.gap],
        sections=_sections(comparison, plots, None if is_moved else path.parent),
        style=Markup(style),
        script=Markup(script),
        style_hash=_content_hash(style),
        script_hash=_content_hash(script),
    )
    write_whole(path, page.encode(), "--html")


def _sections(comparison: Comparison, plots: Sequence[Plot], place: Path | None) -> list[_Section]:
    """Return what the page shows, in the order of a reader's questions."""
    gap = GAPS[comparison.gap]
    by_axis = [psi_table(comparison.ranking), importance_table(comparison.ranking)] if len(comparison.axes) > 1 else []
    psi = [table for table in (page_table("psi", one) for one in by_axis) if _says_something(table)]
    everything = replace(page_table("all-measures", runs_table(comparison)), title="All measures of the runs")
    unranked = [unranked_table(comparison)] if comparison.has_unranked_runs else []
    searched = [page_table("search", one) for one in comparison.search.tables()] if comparison.search else []
    sections = [
        *([_Section("search", "What the search found", searched)] if searched else []),
        _of_table(differences_table(comparison)),
        *(_of_table(one) for one in runs_tables(comparison, place)),
        *(_of_table(page_table("unranked", one)) for one in unranked),
        _Section("training-curves", "Training curves", images=_images(plots, "training")),
        _Section("gamma-gap", f"Gamma against the {gap}", images=_images(plots, "gamma-gap")),
        _of_table(page_table("ranking", ranking_table(comparison.ranking, comparison.fragility))),
        _of_table(page_table("families", families_table(comparison.ranking))),
        _Section("measures", f"Other measures against the {gap}", images=_images(plots, "measures"), folded=True),
        _of_table(everything, folded=True),
        _Section("psi", "ψ by axis", psi, _images(plots, "psi"), folded=True),
        _Section("correlations", "Correlations between measures", (), _images(plots, "correlations"), folded=True),
        _Section("gamma", "Gamma along training", images=_images(plots, "gamma"), folded=True),
        _Section("spectra", "Spectra of the Gram matrix", images=_images(plots, "spectra"), folded=True),
        _of_table(differing_settings(comparison), folded=True),
        _of_table(shared_settings(comparison), folded=True),
    ]
    return [one for one in sections if one.images or any(table.rows for table in one.tables)]


def _of_table(table: PageTable, *, folded: bool = False) -> _Section:
    return _Section(table.name, table.title, (table,), folded=folded or table.folded)


def _images(plots: Sequence[Plot], name: str) -> list[_Image]:
    """Return the plot of a name and its numbered parts, such as measures-2."""
    named = re.compile(rf"{re.escape(name)}(-\d+)?")
    return [
        _Image(one.alt or one.title, _data_address(one.svg), " ".join((_CAPTIONS.get(one.name, ""), one.note)).strip())
        for one in plots
        if named.fullmatch(one.name)
    ]


def _says_something(table: PageTable) -> bool:
    """Return whether a cell beside the names holds a number: a table of dashes takes no room."""
    return any(cell.text[:1] not in ("", NONE) for row in table.rows for cell in row[1:])


def _content_hash(text: str) -> str:
    """Return the source expression by which a Content-Security-Policy allows this very text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _data_address(svg: bytes) -> str:
    """Return an SVG as a data URL: a browser runs no script in it, and the ids of two images cannot collide."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()
