"""One HTML page that holds a whole comparison: no script, no request to anywhere, everything from outside escaped."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from infomcr_cli import __version__
from infomcr_cli.console.text import printable
from infomcr_cli.report.axes import ABSENT, full_text
from infomcr_cli.report.comparison import Comparison
from infomcr_cli.report.evaluated_run import EvaluatedRun
from infomcr_cli.report.gather import GAPS
from infomcr_cli.report.output_files import write_whole
from infomcr_cli.report.plots.style import Plot
from infomcr_cli.report.rows import TextTable, excluded_table, psi_table, ranking_table, runs_table

MOST_CHARACTERS = 10_000  # of a setting


@dataclass(frozen=True)
class _Image:
    name: str
    title: str
    address: str


def write_page(comparison: Comparison, pictures: Sequence[Plot], path: Path) -> None:
    """Write the page.

    Raises:
        InputError: the file cannot be written.
    """
    write_whole(path, page(comparison, pictures).encode(), "--html")


def page(comparison: Comparison, pictures: Sequence[Plot]) -> str:
    """Return the page as text.

    Pictures are data addresses of SVG: a browser runs nothing in them, and their ids cannot meet.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    grids = [ranking_table(comparison.verdict), psi_table(comparison.verdict), runs_table(comparison)]
    if comparison.has_others:
        grids.append(excluded_table(comparison))
    return environment.get_template("page.html.jinja").render(
        version=__version__,
        comparison=comparison,
        gap=GAPS[comparison.gap],
        grids=[grid for grid in grids if grid.rows],
        images=[_Image(one.name, one.title, _data_address(one.svg)) for one in pictures],
        settings=[grid for grid in (shared_settings(comparison), differing_settings(comparison)) if grid.rows],
    )


def shared_settings(comparison: Comparison) -> TextTable:
    """Return the settings that all runs have in common, those outside the verdict counted."""
    entries = everyone(comparison)
    first, unlike = entries[0].config if entries else {}, set(_differing(entries))
    rows = tuple((name, _shown(first, name)) for name in first if name not in unlike)
    return TextTable("Settings that all runs share", ("setting", "value"), rows)


def differing_settings(comparison: Comparison) -> TextTable:
    """Return the settings that differ, one line for each run, those outside the verdict last and in brackets."""
    names, judged = _differing(everyone(comparison)), {entry.name for entry in comparison.judged}
    rows = tuple(
        (entry.name if entry.name in judged else f"({entry.name})", *(_shown(entry.config, name) for name in names))
        for entry in everyone(comparison)
    )
    caption = "(run): outside the verdict." if len(judged) < len(rows) else ""
    return TextTable("Settings that differ", ("run", *names), rows if names else (), caption)


def everyone(comparison: Comparison) -> tuple[EvaluatedRun, ...]:
    """Return the judged runs, then those that missed their target, then those without an evaluation."""
    return (*comparison.judged, *comparison.apart, *comparison.unevaluated)


def _differing(entries: Sequence[EvaluatedRun]) -> list[str]:
    """Return the settings that some runs lack or that have unlike values, compared whole."""
    names = dict.fromkeys(name for entry in entries for name in entry.config)
    return [name for name in names if len({_whole(entry.config, name) for entry in entries}) > 1]


def _whole(config: Mapping[str, Any], name: str) -> str | None:
    return full_text(config[name]) if name in config else None


def _shown(config: Mapping[str, Any], name: str) -> str:
    whole = _whole(config, name)
    return ABSENT if whole is None else printable(whole, MOST_CHARACTERS)


def _data_address(svg: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()
