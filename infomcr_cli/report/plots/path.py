"""Plot loss and error along the paths between two minima."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from matplotlib.lines import Line2D

from infomcr_cli.report.path_document import KINDS, Barrier, PathDocument
from infomcr_cli.report.plots.style import COLOURS, MARKERS, Plot, legend_of, note, panels, plot_style, render, short

SPLITS = {"train": ("-", "training"), "test": ("--", "test")}
PANELS = {"loss": ("cross-entropy, nats", 1.0), "error": ("error, %", 100.0)}


def path_plot(document: PathDocument) -> Plot:
    """Return the plot `path`: loss and error over t, a colour for each kind of path, training solid and test dashed."""
    first, last = (end.name if end.checkpoint == "last" else f"{end.name}@{end.checkpoint}" for end in document.ends)
    title = f"Paths between {first} and {last}"
    with plot_style():
        figure, axes = panels(2, width=3.6, height=2.9)
        for panel, (value, (label, factor)) in zip(axes, PANELS.items(), strict=True):
            _draw(panel, document, value, factor)
            panel.set_ylabel(label)
            panel.set_xlabel("t")
            panel.set_xticks([0, 0.25, 0.5, 0.75, 1], ["A", "0.25", "0.5", "0.75", "B"])
        values = [one.train_loss + one.test_loss for one in document.paths.values()]
        gaps = ["A gap: the loss is not finite."] if any(None in one for one in values) else []
        note(figure, [f"A: {short(first)}. B: {short(last)}.", *gaps])
        legend_of(figure, _handles(document))
        barriers = "; ".join(f"{KINDS[kind]}: {_said(document.barriers[kind])}" for kind, _ in _known(document))
        return render("path", title, figure, f"{title}. {barriers}.")


def _draw(panel: Any, document: PathDocument, value: str, factor: float) -> None:
    for index, (_, one) in enumerate(_known(document)):
        for split, (line, _) in SPLITS.items():
            # Matplotlib leaves a gap in the line at NaN
            values = [math.nan if v is None else factor * v for v in getattr(one, f"{split}_{value}")]
            every = max(1, len(values) // 10)
            style = {"marker": MARKERS[index], "markersize": 3.5, "markevery": every, "linewidth": 1.3}
            panel.plot(one.t, values, line, color=COLOURS[index], **style)
    panel.set_ylim(bottom=0)


def _known(document: PathDocument) -> list[tuple[str, Any]]:
    return [(kind, document.paths[kind]) for kind in KINDS if kind in document.paths]


def _handles(document: PathDocument) -> list[Line2D]:
    kinds = [
        Line2D([], [], color=COLOURS[index], marker=MARKERS[index], markersize=4, label=KINDS[kind])
        for index, (kind, _) in enumerate(_known(document))
    ]
    splits = [Line2D([], [], color="#444444", label=name) for _, name in SPLITS.values()]
    for handle, (line, _) in zip(splits, SPLITS.values(), strict=True):
        handle.set_linestyle(line)  # type: ignore[arg-type]
    return kinds + splits


def _said(barriers: Mapping[str, Barrier]) -> str:
    """Say the barriers of a path to someone who cannot see the plot."""
    loss, error = barriers["train_loss"].value, barriers["test_error"].value
    if loss is None or error is None:
        return "loss not finite"
    return f"barrier of the training loss {loss:.3g} nats, of the test error {100 * error:.3g} %"
