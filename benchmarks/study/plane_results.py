"""The results of the plane of widths and batch sizes: its tables and its figure, from the table alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from benchmarks.study.families import family
from benchmarks.study.results import (
    NORMALISED,
    averaged,
    command,
    frame_of,
    incomplete,
    is_complete,
    judgement,
    measure_table,
    rows_of,
)
from benchmarks.study.statistics import FEWEST
from infomcr_cli.report.plots.style import panels, plot_style, render

CONVERGED = 0.01  # nats of training loss
# The measures of the question, and the training loss that they must beat.
IN_QUESTION = ("hessian_trace", "hessian_eigenvalue", "gamma", NORMALISED, "train_loss")
FIGURE, TITLE = "plane.svg", "Errors, training loss, Hessian trace and gamma over width and batch size"
# column -> label, factor, format
_PANELS = {
    "test_error": ("test error, %", 100.0, "{:.1f}"),
    "gap_error": ("error gap, points", 100.0, "{:.1f}"),
    "train_loss": ("training loss, nats", 1.0, "{:.3f}"),
    "hessian_trace": ("Hessian trace", 1.0, "{:.0f}"),
    "gamma": ("gamma, nats", 1.0, "{:.0f}"),
    NORMALISED: ("gamma of normalised logits, nats", 1.0, "{:.0f}"),
}
_LOGARITHMIC = ("train_loss", "hessian_trace")


def plane(tables: Path) -> str:
    """Return the statistics of the plane, once it is complete."""
    chosen, rows = family("plane", tables), rows_of("plane", tables)
    if not is_complete(chosen, rows):
        return incomplete("plane", rows, chosen)
    frame = frame_of(tables / "plane.csv")
    converged = frame[frame["train_loss"] <= CONVERGED]
    parts = [
        _picture(frame, tables),
        "### All runs",
        _about(frame, "gap_error", chosen.axes),
        _table(frame, "gap_error", chosen.axes),
        f"### Runs with a training loss of at most {CONVERGED:g} nats",
        _about(converged, "gap_error", chosen.axes, f" --max-train-loss {CONVERGED:g}"),
        _table(converged, "gap_error", chosen.axes, IN_QUESTION),
        "### By the test error",
        "Not planned, added after the tables above were seen. " + _about(frame, "test_error", chosen.axes),
        _table(frame, "test_error", chosen.axes, IN_QUESTION),
    ]
    return "\n\n".join(parts)


def over_plane(settings: pd.DataFrame) -> Figure:
    """Return a map for each quantity of `_PANELS`: width to the right, batch size upwards.

    Args:
        settings: a row for each setting, the means over its seeds.
    """
    figure, places = panels(len(_PANELS))
    for place, (name, (label, factor, shown)) in zip(places, _PANELS.items(), strict=True):
        values = settings.pivot(index="batch_size", columns="width", values=name)
        cells = factor * values.to_numpy(np.float64)  # [batch sizes, widths]
        colours = np.log(cells) if name in _LOGARITHMIC else cells
        place.pcolormesh(np.arange(cells.shape[1]), np.arange(cells.shape[0]), colours, cmap="Blues", lw=0)
        place.grid(False)
        place.set_xticks(range(cells.shape[1]), values.columns)
        place.set_yticks(range(cells.shape[0]), values.index)
        place.set_xlabel("width")
        place.set_ylabel("batch size")
        place.set_title(label, fontsize=9)
        middle = (colours.min() + colours.max()) / 2
        for (row, column), value in np.ndenumerate(cells):
            ink = "white" if colours[row, column] > middle else "black"
            place.text(column, row, shown.format(value), ha="center", va="center", fontsize=7, color=ink)
    return figure


def _picture(frame: pd.DataFrame, tables: Path) -> str:
    with plot_style():
        figure = over_plane(averaged(frame, ("width", "batch_size")))
        (tables / FIGURE).write_bytes(render("plane", TITLE, figure, png=False).svg)
    return f"![{TITLE}]({tables.name}/{FIGURE})\n\nMeans of two seeds; darker is higher."


def _about(frame: pd.DataFrame, gap: str, axes: Sequence[str], option: str = "") -> str:
    settings = len(averaged(frame, axes))
    few = "" if settings >= FEWEST else f", too few for intervals (fewer than {FEWEST})"
    return f"{len(frame)} runs of {settings} settings{few}. {command('plane', gap, axes, option)}"


def _table(frame: pd.DataFrame, gap: str, axes: Sequence[str], names: Sequence[str] = ()) -> str:
    """Return the statistics of all measures, or of some, in their order of Ψ."""
    found: dict[str, Any] = judgement(frame, gap, axes)
    if names:
        found |= {"measures": {name: found["measures"][name] for name in names}, "references": {}}
    return measure_table(found, averaged(frame, axes), gap)
