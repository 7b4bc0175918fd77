"""The report on a single run as one HTML page that makes no request."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from infomcr_cli.report.page_parts import Picture, Section, data_address, picture_of, render_page
from infomcr_cli.report.page_tables import PageTable
from infomcr_cli.report.plots.one_run import gamma_curve, learning_curves
from infomcr_cli.report.plots.style import Plot
from infomcr_cli.report.run_pictures import FoundPicture
from infomcr_cli.report.run_report import RunReport, how_it_ended
from infomcr_cli.report.run_tables import (
    environment_table,
    evaluations_table,
    facts_table,
    how_to_read_gamma,
    links_table,
    measures_table,
    scores_table,
    settings_tables,
    shown_value,
)

_LANDSCAPES = {"path": "Path between minima", "spectrum": "Spectral density"}  # by how the name of a folder begins
MOST_OPEN = 3  # pictures of evaluations that are not folded: there may be one for each checkpoint
_FOLDERS = {"plots": "Spectra and other pictures", ".": "Other pictures"}


def run_plots(report: RunReport) -> dict[str, Plot]:
    """Return the plots of a run's own record by name."""
    config = report.compared.config
    curves = None if report.is_imported else learning_curves(report.metrics, config)
    found = {"training": curves, "gamma": gamma_curve(report.gamma_along_training)}
    return {name: plot for name, plot in found.items() if plot is not None}


def run_page(report: RunReport, plots: Mapping[str, Plot], place: Path | None) -> bytes:
    """Return the page.

    Args:
        place: the folder in which it will be, from which links to the run's files are relative; None: it will be read
               elsewhere, so they are absolute.
    """
    return render_page(
        "run_page.html.jinja",
        list(plots.values()),
        report=report,
        summary=_summary(report),
        ended=how_it_ended(report),
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        sections=_sections(report, plots, place),
    )


def _summary(report: RunReport) -> str:
    """Return what was trained on what, in a sentence."""
    config = {name: shown_value(value) for name, value in report.compared.config.items()}
    model, data, optimizer, reg = (config.get(f"{group}.name", "?") for group in ("model", "data", "optimizer", "reg"))
    if report.is_imported:
        return f"An imported network, from {config.get('imported.file', 'a file')}, measured on {data}."
    with_reg = "without a regularizer" if reg == "off" else f"with the regularizer {reg}"
    return f"The network {model}, trained on {data} with {optimizer}, {with_reg}, seed {config.get('seed', '?')}."


def _sections(report: RunReport, plots: Mapping[str, Plot], place: Path | None) -> list[Section]:
    """Return what the page shows, in the order of a reader's questions."""
    weights, others = settings_tables(report)
    curves = [picture_of(plots[name]) for name in ("training",) if name in plots]
    along = [picture_of(plots[name]) for name in ("gamma",) if name in plots]
    sections = [
        _of_table(facts_table(report)),
        _of_table(scores_table(report)),
        Section("measures", "Measures", [measures_table(report)], sentences=how_to_read_gamma(report)),
        Section("curves", "Learning curves", pictures=curves),
        Section("gamma", "Gamma along training", pictures=along),
        _of_table(evaluations_table(report)),
        *_found_sections(report),
        _of_table(weights, is_folded=True),
        _of_table(others, is_folded=True),
        _of_table(environment_table(report), is_folded=True),
        _of_table(links_table(report, place)),
    ]
    return [one for one in sections if not one.is_empty]


def _of_table(table: PageTable, *, is_folded: bool = False) -> Section:
    return Section(table.name, table.title, (table,), is_folded=is_folded)


def _found_sections(report: RunReport) -> list[Section]:
    """Return a section for each folder of pictures that commands have left in the run's directory."""
    folders: dict[str, list[FoundPicture]] = {}
    for picture in report.pictures:
        folders.setdefault(picture.folder, []).append(picture)
    sections = []
    for number, (folder, found) in enumerate(folders.items()):
        pictures = [
            Picture(one.alt, one.title, address=data_address(one.content, one.kind), facts=one.facts or None)
            for one in found
        ]
        is_folded = folder == "plots" and len(found) > MOST_OPEN
        sections.append(Section(f"found-{number}", _title(folder), pictures=pictures, is_folded=is_folded))
    return sections


def _title(folder: str) -> str:
    """Return the title of a folder's pictures.

    Examples:
        >>> _title("plots"), _title("landscapes/path-1871ee58"), _title("mine")
        ('Spectra and other pictures', 'Path between minima: path-1871ee58', 'mine')
    """
    place, _, name = folder.partition("/")
    if place != "landscapes" or not name:
        return _FOLDERS.get(folder, folder)
    return f"{_LANDSCAPES.get(name.partition('-')[0], 'Loss landscape')}: {name}"
