"""What the pages of comparisons and of single runs share: layout, pictures, and the Content-Security-Policy.

A page is one file. It makes no request and runs no script but its own: its policy names the hashes of both script and
style, and every text from a run is escaped.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from infomcr_cli import __version__
from infomcr_cli.report.inline_svg import inline_svg
from infomcr_cli.report.page_tables import PageTable
from infomcr_cli.report.plots.style import Plot

_HERE = Path(__file__).parent
_SCRIPTS = ("page.js", "pictures.js")


@dataclass(frozen=True)
class Picture:
    """A picture of a page.

    Attributes:
        svg:     drawn by this program, inside the page; None: it is an image.
        address: of an image, a data URL: a browser runs no script in it, whoever wrote it.
        facts:   name → text, shown below the caption.
    """

    alt: str
    caption: str = ""
    svg: Markup | None = None
    address: str = ""
    facts: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Section:
    """A part of the page that the list of contents names: sentences, tables, pictures.

    Attributes:
        is_folded: hidden until the reader opens it.
    """

    name: str
    title: str
    tables: Sequence[PageTable] = ()
    pictures: Sequence[Picture] = ()
    is_folded: bool = False
    sentences: Sequence[str] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.pictures or self.sentences or any(table.rows for table in self.tables))


def render_page(template: str, plots: Sequence[Plot], **values: Any) -> bytes:
    """Return a page.

    Args:
        template: the name of its file.
        plots:    that are in the page; the script gets the numbers of those that have marks.
        values:   what the template shows.
    """
    style = (_HERE / "page.css").read_text(encoding="utf-8")
    script = "\n".join((_HERE / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    page, data = _environment().get_template(template), page_data(plots)
    text = page.render(
        version=__version__,
        style=Markup(style),  # of this package, so not escaped
        script=Markup(script),
        style_hash=content_hash(style),
        script_hash=content_hash(script),
        data=data,
        run_number={run: index for index, run in enumerate(data["runs"])},
        **values,
    )
    return text.encode()


def page_data(plots: Sequence[Plot]) -> dict[str, Any]:
    """Return the data of the script: the names of the runs, and the marks of each picture by the numbers of runs."""
    runs = list(dict.fromkeys(run for plot in plots for mark in plot.marks for run in mark.runs))
    number = {run: index for index, run in enumerate(runs)}
    pictures = {}
    for plot in plots:
        if plot.marks:
            marks = [asdict(mark) | {"runs": [number[run] for run in mark.runs]} for mark in plot.marks]
            pictures[plot.name] = {"panels": [asdict(panel) for panel in plot.panels], "marks": marks}
    return {"runs": runs, "pictures": pictures}


def picture_of(plot: Plot, caption: str = "") -> Picture:
    """Return a plot of this program as a picture of a page, with what it leaves out in its caption."""
    caption, alt = " ".join((caption, plot.note)).strip(), plot.alt or plot.title
    if not plot.marks:
        return Picture(alt, caption, address=data_address(plot.svg, "svg+xml"))
    return Picture(alt, caption, Markup(inline_svg(plot.svg, plot.name, plot.title, alt)))


def content_hash(text: str) -> str:
    """Return the source expression with which a Content-Security-Policy allows exactly this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def data_address(content: bytes, kind: str) -> str:
    """Return an image as a data URL: a browser runs no script in it, and makes no request for it."""
    return f"data:image/{kind};base64," + base64.b64encode(content).decode()


@cache
def _environment() -> Environment:
    # StrictUndefined: a misspelt name in a template is an error, not an empty text
    return Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
