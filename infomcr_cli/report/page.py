"""One HTML page that holds a whole comparison: no script, no request to anywhere, everything from outside escaped."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from infomcr_cli import __version__
from infomcr_cli.errors import InputError
from infomcr_cli.report.axes import ABSENT, label
from infomcr_cli.report.canvas import Picture
from infomcr_cli.report.comparison import Comparison
from infomcr_cli.report.gather import GAPS
from infomcr_cli.report.rows import Grid, others_grid, psi_grid, runs_grid, verdict_grid


@dataclass(frozen=True)
class _Image:
    name: str
    title: str
    address: str


def write_page(comparison: Comparison, pictures: Sequence[Picture], path: Path) -> None:
    """Write the page.

    Raises: InputError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page(comparison, pictures), encoding="utf-8")
    except OSError as error:
        rule = f"--html must name a file that can be written ({error.strerror})"
        raise InputError(rule, received=str(path)) from None


def page(comparison: Comparison, pictures: Sequence[Picture]) -> str:
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
    grids = [verdict_grid(comparison.verdict), psi_grid(comparison.verdict), runs_grid(comparison)]
    if comparison.apart or comparison.unevaluated:
        grids.append(others_grid(comparison))
    return environment.get_template("page.html.jinja").render(
        version=__version__,
        comparison=comparison,
        gap=GAPS[comparison.gap],
        grids=[grid for grid in grids if grid.rows],
        images=[_Image(one.name, one.title, _data_address(one.svg)) for one in pictures],
        settings=[grid for grid in (shared_settings(comparison), differing_settings(comparison)) if grid.rows],
    )


def shared_settings(comparison: Comparison) -> Grid:
    """Return the settings that all judged runs have in common."""
    first = comparison.judged[0].config if comparison.judged else {}
    same = [
        name for name in first if all(_shown(entry.config, name) == _shown(first, name) for entry in comparison.judged)
    ]
    rows = tuple((name, _shown(first, name)) for name in same)
    return Grid("Settings that all runs share", ("setting", "value"), rows)


def differing_settings(comparison: Comparison) -> Grid:
    """Return the settings that differ, one line for each run."""
    shared = {row[0] for row in shared_settings(comparison).rows}
    names = list(dict.fromkeys(name for entry in comparison.judged for name in entry.config if name not in shared))
    rows = tuple((entry.name, *(_shown(entry.config, name) for name in names)) for entry in comparison.judged)
    return Grid("Settings that differ", ("run", *names), rows if names else ())


def _shown(config: object, name: str) -> str:
    return label(config[name]) if isinstance(config, dict) and name in config else ABSENT


def _data_address(svg: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()
