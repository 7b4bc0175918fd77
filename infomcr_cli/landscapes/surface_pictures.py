"""Plot surfaces: curves, contours and surfaces of several runs side by side, on one scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from infomcr_cli.report.plots.style import (
    COLOURS,
    LINES,
    MARKERS,
    Plot,
    legend_of,
    logarithmic,
    note,
    plot_style,
    render,
    short,
)

Array = NDArray[np.float64]
LOSS_COLOURS, ERROR_COLOURS = "cividis", "viridis"  # perceptually uniform, also for colour-blind readers
SMALLEST_LOSS = 1e-8  # nats: what is drawn of a loss of 0 on a logarithmic scale
LEVELS = 24  # filled ones
ERROR_LINES = (1, 5, 10, 25, 50, 75)  # %
COLUMNS = 4  # runs in a row
MOST_LINES = 101  # of a surface along each axis: each mesh of it is a shape of its own


@dataclass(frozen=True)
class DrawnSurface:
    """One surface as it is drawn.

    Args:
        label:   of the run.
        loss:    nats, [p, q]; NaN is left blank.
        error:   0..1, [p, q].
        minima:  labels and coordinates of minima in the plane.
        paths:   labels and coordinates of checkpoints, [n, 2] each, in the order of training.
    """

    label: str
    loss: Array
    error: Array
    minima: Sequence[tuple[str, Array]] = ()
    paths: Sequence[tuple[str, Array]] = ()


@dataclass(frozen=True)
class Drawing:
    """All surfaces of one command with their axes.

    Args:
        first, second: coordinates, [p] and [q].
        names:         of the two axes.
        title:         a line that says what is shown.
        notes:         sentences on how it was computed.
    """

    surfaces: Sequence[DrawnSurface]
    first: Array
    second: Array
    names: tuple[str, str]
    title: str
    notes: Sequence[str] = field(default=())


def pictures(drawing: Drawing) -> list[Plot]:
    """Return the pictures of curves, or contours and surfaces of a plane."""
    with plot_style():
        if len(drawing.second) == 1:
            return [render("curves", drawing.title, _curves(drawing), _alt("Curves", drawing))]
        return [
            render("contours", drawing.title, _contours(drawing), _alt("Contours", drawing)),
            render("surfaces", drawing.title, _surfaces(drawing), _alt("Surfaces", drawing)),
        ]


def _curves(drawing: Drawing) -> Figure:
    figure = Figure(figsize=(7.2, 3.4), layout="constrained", dpi=150)
    loss_panel, error_panel = figure.subplots(1, 2)
    for index, surface in enumerate(drawing.surfaces):
        style = {"color": COLOURS[index % len(COLOURS)], "linestyle": LINES[index % len(LINES)], "linewidth": 1.5}
        loss_panel.plot(drawing.first, np.maximum(surface.loss[:, 0], SMALLEST_LOSS), **style)
        error_panel.plot(drawing.first, 100 * surface.error[:, 0], **style, label=short(surface.label))
    logarithmic(loss_panel)
    loss_panel.set_ylabel("training loss, nats")
    error_panel.set_ylabel("training error, %")
    for panel in (loss_panel, error_panel):
        panel.set_xlabel(drawing.names[0])
    legend_of(figure, error_panel.get_lines())
    note(figure, drawing.notes)
    return figure


def _contours(drawing: Drawing) -> Figure:
    """Return a column for each run: loss above, error below."""
    count = len(drawing.surfaces)
    columns = min(count, COLUMNS)
    bands = -(-count // columns)
    figure = Figure(figsize=(max(2.9 * columns + 1.0, 4.5), 5.4 * bands + 0.5), layout="constrained", dpi=_dpi(count))
    panels = figure.subplots(2 * bands, columns, squeeze=False)
    loss_scale, error_scale = _loss_scale(drawing), Normalize(0, 100 * _greatest_error(drawing))
    for panel in panels.ravel():
        panel.set_visible(False)
    for index, surface in enumerate(drawing.surfaces):
        band, column = divmod(index, columns)
        above, below = panels[2 * band, column], panels[2 * band + 1, column]
        losses = _contour(above, drawing, _drawn_loss(surface.loss), loss_scale, LOSS_COLOURS)
        errors = _contour(below, drawing, 100 * surface.error, error_scale, ERROR_COLOURS)
        above.set_title(short(surface.label, 28), fontsize=9)
        for panel in (above, below):
            _mark(panel, surface)
            panel.set_ylabel(drawing.names[1] if column == 0 else "")
        below.set_xlabel(drawing.names[0])
    for band in range(bands):
        above, below = (list(panels[row]) for row in (2 * band, 2 * band + 1))
        decades = _decades(*losses.get_clim())
        bar = figure.colorbar(losses, ax=above, label="training loss, nats", shrink=0.9, ticks=decades, format=_plain)
        bar.ax.minorticks_off()
        error_ticks = MaxNLocator(6).tick_values(0, errors.get_clim()[1])
        figure.colorbar(errors, ax=below, label="training error, %", shrink=0.9, ticks=error_ticks)
    legend_of(figure, _legend(drawing))
    note(figure, drawing.notes)
    return figure


def _contour(panel: Any, drawing: Drawing, values: Array, scale: Any, colours: str) -> Any:
    """Draw the values of one panel; the first direction is the horizontal axis."""
    panel.set_visible(True)
    panel.grid(False)
    panel.set_facecolor("#bbbbbb")  # what is not finite
    logs = isinstance(scale, LogNorm)
    low, high = float(scale.vmin or 0.0), float(scale.vmax or 1.0)
    levels = np.geomspace(low, high, LEVELS) if logs else np.linspace(low, high, LEVELS)
    shown = np.ma.masked_invalid(np.clip(values.T, low, high))
    filled = panel.contourf(drawing.first, drawing.second, shown, levels=levels, norm=scale, cmap=colours)
    crossed = [level for level in (_decades(low, high) if logs else ERROR_LINES) if shown.min() < level < shown.max()]
    if crossed:
        lines = panel.contour(drawing.first, drawing.second, shown, levels=crossed, colors="white", linewidths=0.6)
        panel.clabel(lines, fontsize=6, fmt=lambda value: f"{value:g}")
    panel.set_aspect("equal")
    return filled


def _decades(low: float, high: float) -> list[float]:
    """Return the powers of ten in a range; with the twos and fives between them if they are fewer than three.

    Examples:
        >>> _decades(0.03, 40), _decades(0.3, 4)
        ([0.1, 1.0, 10.0], [0.5, 1.0, 2.0])
    """
    exponents = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    for digits in ((1,), (1, 2, 5)):
        found = [float(f"{digit}e{exponent}") for exponent in exponents for digit in digits]
        found = [value for value in found if low <= value <= high]
        if len(found) >= 3:
            break
    return found


def _mark(panel: Any, surface: DrawnSurface) -> None:
    """Mark minima and the checkpoints of training, or the centre if there are none."""
    if not surface.minima:
        panel.plot(0, 0, marker="+", color="white", markersize=8, markeredgewidth=1.6)
    for index, (_, place) in enumerate(surface.minima):
        face = COLOURS[1 + index % 3]
        panel.plot(*place, marker=MARKERS[index % len(MARKERS)], color=face, markeredgecolor="white", markersize=9)
    for index, (_, path) in enumerate(surface.paths):
        line = {"color": "white", "linewidth": 1.0, "linestyle": LINES[index % len(LINES)]}
        dots = {"marker": "o", "markersize": 3, "markeredgecolor": "black", "markeredgewidth": 0.5}
        panel.plot(path[:, 0], path[:, 1], **line, **dots)


def _legend(drawing: Drawing) -> list[Line2D]:
    surface = drawing.surfaces[0]
    return [
        Line2D(
            [], [], marker=MARKERS[i % len(MARKERS)], color=COLOURS[(1, 2, 3)[i % 3]], linestyle="", label=short(name)
        )
        for i, (name, _) in enumerate(surface.minima)
    ]


def _surfaces(drawing: Drawing) -> Figure:
    """Return the loss of each run as a surface over the plane, on a logarithmic scale that all share."""
    count = len(drawing.surfaces)
    columns = min(count, COLUMNS)
    rows = -(-count // columns)
    size = (max(3.3 * columns, 4.5), 3.3 * rows + 0.4)
    figure = Figure(figsize=size, layout="constrained", dpi=_dpi(count))
    scale = _loss_scale(drawing)
    low, high = np.log10([scale.vmin or 1e-8, scale.vmax or 1.0])
    first, second = np.meshgrid(drawing.first, drawing.second, indexing="ij")
    for index, surface in enumerate(drawing.surfaces):
        panel: Any = figure.add_subplot(rows, columns, index + 1, projection="3d")
        height = np.log10(_drawn_loss(surface.loss))
        options = {"cmap": LOSS_COLOURS, "vmin": low, "vmax": high, "linewidth": 0, "antialiased": False}
        panel.plot_surface(first, second, height, rcount=MOST_LINES, ccount=MOST_LINES, **options)
        panel.set_zlim(low, high)
        panel.zaxis.set_major_locator(MaxNLocator(6, integer=True))
        panel.zaxis.set_major_formatter(lambda value, _: _plain(10.0**value, _))
        panel.set_title(short(surface.label, 28), fontsize=9, y=0.98)
        panel.set_xlabel(drawing.names[0], fontsize=8)
        panel.set_ylabel(drawing.names[1], fontsize=8)
        panel.set_zlabel("training loss, nats", fontsize=8)
        panel.tick_params(labelsize=7, pad=0)
        panel.xaxis.set_major_locator(MaxNLocator(4))
        panel.yaxis.set_major_locator(MaxNLocator(4))
        panel.view_init(elev=28, azim=-60)
        panel.set_box_aspect((1, 1, 0.8), zoom=0.76)
    note(figure, drawing.notes)
    return figure


def _dpi(count: int) -> int:
    """Return the dots an inch: fewer for many runs, so that the file of a picture stays small."""
    return 130 if count <= 2 else 100


def _drawn_loss(loss: Array) -> Array:
    return np.where(np.isfinite(loss), np.maximum(loss, SMALLEST_LOSS), np.nan)


def _loss_scale(drawing: Drawing) -> LogNorm:
    """Return the logarithmic scale of all losses; at least one decade."""
    known = np.concatenate([one.loss[np.isfinite(one.loss)] for one in drawing.surfaces])
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.1, 1.0)
    low = max(low, SMALLEST_LOSS)
    middle = np.sqrt(low * max(high, low))
    return LogNorm(min(low, middle / np.sqrt(10)), max(high, middle * np.sqrt(10)))


def _greatest_error(drawing: Drawing) -> float:
    known = np.concatenate([one.error[np.isfinite(one.error)] for one in drawing.surfaces])
    return max(float(known.max()), 0.01) if len(known) else 1.0


def _plain(value: float, _: Any) -> str:
    """Return a number without mathematical text."""
    return f"{value:.0e}" if value < 1e-3 or value >= 1e4 else f"{value:g}"


def _alt(kind: str, drawing: Drawing) -> str:
    """Return the alternative text of a picture."""
    described = [
        f"{one.label}: loss {np.nanmin(one.loss):.3g} to {np.nanmax(one.loss):.3g} nats, "
        f"error {100 * np.nanmin(one.error):.3g} to {100 * np.nanmax(one.error):.3g} %"
        for one in drawing.surfaces
        if np.isfinite(one.loss).any()
    ]
    return f"{kind} of training loss and error. {'; '.join(described)}."
