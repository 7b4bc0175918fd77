"""A comparison as one HTML page without scripts or requests; every text is escaped."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from infomcr_cli import __version__
from infomcr_cli.console.text import printable
from infomcr_cli.report.axes import ABSENT
from infomcr_cli.report.comparison import Comparison
from infomcr_cli.report.evaluated_run import ComparedRun
from infomcr_cli.report.gather import GAPS
from infomcr_cli.report.output_files import write_whole
from infomcr_cli.report.plots.style import Plot
from infomcr_cli.report.settings import setting_text
from infomcr_cli.report.tables import TextTable, psi_table, ranking_table, runs_table, unranked_table

MOST_CHARACTERS = 10_000  # of a setting


@dataclass(frozen=True)
class _Image:
    name: str
    title: str
    address: str


def write_page(comparison: Comparison, plots: Sequence[Plot], path: Path) -> None:
    """Write the page.

    Raises:
        InputError: the file cannot be written.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    tables = [ranking_table(comparison.ranking), psi_table(comparison.ranking), runs_table(comparison)]
    if comparison.has_unranked_runs:
        tables.append(unranked_table(comparison))
    page = environment.get_template("page.html.jinja").render(
        version=__version__,
        comparison=comparison,
        gap=GAPS[comparison.gap],
        tables=[table for table in tables if table.rows],
        images=[_Image(one.name, one.title, _data_address(one.svg)) for one in plots],
        settings=[table for table in (shared_settings(comparison), differing_settings(comparison)) if table.rows],
    )
    write_whole(path, page.encode(), "--html")


def shared_settings(comparison: Comparison) -> TextTable:
    """Return the settings that all runs share, ranked or not."""
    config = comparison.runs[0].config if comparison.runs else {}
    differing = set(_differing(comparison.runs))
    rows = tuple((name, _shown(config, name)) for name in config if name not in differing)
    return TextTable("Settings that all runs share", ("setting", "value"), rows)


def differing_settings(comparison: Comparison) -> TextTable:
    """Return the settings that differ, one line for each run; runs that are not ranked come last, in parentheses."""
    names, ranked = _differing(comparison.runs), {run.name for run in comparison.included}
    rows = tuple(
        (run.name if run.name in ranked else f"({run.name})", *(_shown(run.config, name) for name in names))
        for run in comparison.runs
    )
    caption = "(run): not ranked." if len(ranked) < len(rows) else ""
    return TextTable("Settings that differ", ("run", *names), rows if names else (), caption)


def _differing(runs: Sequence[ComparedRun]) -> list[str]:
    """Return the settings that some runs lack or that have different values, compared whole."""
    names = dict.fromkeys(name for run in runs for name in run.config)
    return [name for name in names if len({setting_text(run.config, name) for run in runs}) > 1]


def _shown(config: Mapping[str, Any], name: str) -> str:
    whole = setting_text(config, name)
    return ABSENT if whole is None else printable(whole, MOST_CHARACTERS)


def _data_address(svg: bytes) -> str:
    """Return an SVG as a data URL: a browser runs no script in it, and the ids of two images cannot collide."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()
