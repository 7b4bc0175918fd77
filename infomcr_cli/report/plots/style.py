"""The style of all plots: drawn with Matplotlib's object interface, byte-identical each time, legible in print."""

from __future__ import annotations

import io
import re
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from infomcr_cli.report.plots.marks import Mark, MarkedFigure, Panel

# Okabe and Ito's colours are distinct in all common kinds of colour blindness; markers and lines are distinct in grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#B2A800")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ("-", "--", "-.", ":")
_LETTERS_PER_INCH = 17  # of a note
_STYLE: dict[str, Any] = {
    "font.size": 9.0,
    "font.sans-serif": ["DejaVu Sans"],  # Matplotlib's own; by default each text is sought in a dozen others too
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.hashsalt": "infomcr",  # otherwise the ids in an SVG are random
    "svg.fonttype": "path",  # text as outlines, the same whatever fonts the reader has
    "text.parse_math": False,  # a name may contain a dollar sign
    "axes.formatter.useoffset": False,  # each tick shows its whole value
}


@dataclass(frozen=True)
class Plot:
    """A finished plot.

    Attributes:
        name:  of its files, without a suffix.
        title: a line that says what it shows.
        png:   empty if only SVG is wanted.
        note:  what it leaves out; part of the title too.
        alt:   says the same to someone who cannot see it, with the ranges of the numbers.
        marks: what it shows of which runs; none: the page shows it as an image.
        panels: where its panels are.
    """

    name: str
    title: str
    svg: bytes
    png: bytes
    note: str = ""
    alt: str = ""
    marks: tuple[Mark, ...] = ()
    panels: tuple[Panel, ...] = ()


@contextmanager
def plot_style() -> Iterator[None]:
    """Draw in this style, whatever the user's Matplotlib settings are."""
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)  # type: ignore[arg-type]
        warnings.filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)
        yield


def render(name: str, title: str, figure: Figure, alt: str = "", *, png: bool = True) -> Plot:
    """Return a figure as SVG and PNG bytes without a date; its note becomes part of the title.

    Args:
        png: False leaves PNG out, which takes longer than SVG.
    """
    svg, pixels = io.BytesIO(), io.BytesIO()
    layout = figure.get_layout_engine()
    if layout is not None:  # once for both files, and without drawing all of it for that
        layout.execute(figure)
        figure.set_layout_engine(None)
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": "infomcr"})
    marks, placed = (figure.marks, figure.placed_panels()) if isinstance(figure, MarkedFigure) else ((), ())
    if png:
        figure.savefig(pixels, format="png", metadata={"Software": "infomcr"})
    note = figure.get_suptitle().replace("\n", " ")
    title = f"{title}. {note}" if note else title
    return Plot(name, title, svg.getvalue(), pixels.getvalue(), note, alt, marks, placed)


def panels(count: int, *, width: float = 3.0, height: float = 2.6, columns: int = 3) -> tuple[MarkedFigure, list[Any]]:
    """Return a figure of `count` panels in rows of `columns`, inches each."""
    columns = min(columns, count)
    rows = -(-count // columns)  # rounded up
    figure = MarkedFigure(figsize=(max(width * columns, 4.5), height * rows + 0.4), layout="constrained", dpi=150)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for unused in axes[count:]:
        unused.set_visible(False)
    figure.record_panels(axes[:count])
    return figure, list(axes[:count])


def short(name: str, length: int = 32) -> str:
    """Return a name cut to a length that fits in a plot."""
    return name if len(name) <= length else name[: length - 1] + "…"


def with_unit(name: str, unit: str | None, length: int = 32) -> str:
    """Return a label with a name and its unit, in lines of a length that fit under a panel.

    Examples:
        >>> with_unit("gamma", "nats"), with_unit("margin", None)
        ('gamma, nats', 'margin')
    """
    text = f"{name}, {unit}" if unit else name
    lines = [""]
    for word in re.findall(rf"[^_ .]{{1,{length - 1}}}[_ .]?|[_ .]", text):
        if lines[-1] and len(lines[-1]) + len(word.rstrip()) > length:
            lines.append("")
        lines[-1] += word
    return "\n".join(line.rstrip() for line in lines)


def logarithmic(panel: Any) -> None:
    """Give a panel a logarithmic y axis with plain numbers: math text is disabled, so that names stay as they are."""
    panel.set_yscale("log", nonpositive="mask")
    low, high = panel.get_ylim()
    is_short = high < 30 * low  # less than one and a half decades: numbers between the powers of ten too
    panel.yaxis.set_major_formatter(lambda value, _: f"{value:.0e}" if value < 1e-3 or value >= 1e4 else f"{value:g}")
    panel.yaxis.set_minor_formatter(  # 2 and 5 as the first digit, such as 0.02 and 0.05
        lambda value, _: f"{value:.2g}" if is_short and f"{value:e}"[0] in ("2", "5") else ""
    )


def legend_of(figure: Figure, handles: Sequence[Any]) -> None:
    """Put a legend below all panels."""
    if handles:
        columns = max(1, min(4, len(handles), int(figure.get_figwidth() / 2.3)))
        figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=8)


def note(figure: Figure, sentences: Sequence[str]) -> None:
    """Write what a plot leaves out above its panels; `render` adds it to the title."""
    if sentences:
        lines = textwrap.fill(" ".join(sentences), int(_LETTERS_PER_INCH * figure.get_figwidth()))
        figure.suptitle(lines, fontsize=8, color="#444444")
