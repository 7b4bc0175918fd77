"""Draw the pictures of docs/explanation: python -m benchmarks.explanation_pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from infomcr_cli import judge
from infomcr_cli.judging.sign_error import pair_weights
from infomcr_cli.measures.gamma import log_volume
from infomcr_cli.report.plots.style import COLOURS, LINES, MARKERS, panels, plot_style, render

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images"
NAMES = {"along_training": "gamma-along-training"}
LENGTHS = (0.8, 1.1, 1.5, 2.0)  # made up: what a measure adds for each width of a network


def main() -> None:
    """Draw every picture as SVG."""
    pictures: tuple[Callable[[], Figure], ...] = (volume, along_training, granulated, sign_weights)
    for draw in pictures:
        with plot_style():
            name = NAMES.get(draw.__name__, draw.__name__.replace("_", "-"))
            (FOLDER / f"{name}.svg").write_bytes(render(name, name, draw()).svg)


def volume() -> Figure:
    """Return the area that two gradients span, and gamma of them."""
    pairs = {
        "two samples, two directions": [[3.0, 0.5], [0.6, 2.4]],
        "gradients half as long": [[1.5, 0.25], [0.3, 1.2]],
        "nearly the same direction": [[3.0, 0.5], [2.6, 0.9]],
    }
    figure, axes = panels(len(pairs))
    for panel, (title, rows) in zip(axes, pairs.items(), strict=True):
        _parallelogram(panel, np.array(rows))
        gamma = log_volume(np.array(rows) @ np.array(rows).T)
        panel.set_title(f"{title}\ngamma = {gamma:.2f} nats", fontsize=8)
    return figure


def _parallelogram(panel: Any, rows: np.ndarray) -> None:
    corners = np.array([[0, 0], rows[0], rows[0] + rows[1], rows[1]])
    panel.add_patch(Polygon(corners, closed=True, facecolor=COLOURS[5], alpha=0.35))
    for row, colour in zip(rows, COLOURS, strict=False):
        panel.annotate("", xy=tuple(row), xytext=(0, 0), arrowprops={"arrowstyle": "->", "color": colour, "lw": 1.8})
    panel.set(xlim=(-0.3, 6), ylim=(-0.3, 3.6), aspect="equal", xlabel="weight 1", ylabel="weight 2")


def along_training() -> Figure:
    """Return gamma over the training loss at the checkpoints of two runs; the table is of `infomcr eval`."""
    frame = pd.read_csv(FOLDER / "gamma-along-training.csv")
    figure, (panel,) = panels(1, width=4.5, height=3.0)
    labels = {"off": "batches of 64", "small": "batches of 16"}
    for (run, label), colour, marker in zip(labels.items(), COLOURS, MARKERS, strict=False):
        rows = frame[frame["run"] == run]
        panel.errorbar(
            rows["train_loss"], rows["gamma"], rows["std_error"], color=colour, marker=marker, ms=4, lw=1, label=label
        )
    panel.set(xscale="log", xlabel="loss on all training images, nats", ylabel="gamma, nats")
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    panel.legend(frameon=False, fontsize=8)
    return figure


def granulated() -> Figure:
    """Return a made-up table whose measure tells widths apart, and nothing else."""
    frame = pd.DataFrame(
        [
            {"width": width, "rate": rate, "gap": 0.10 - 0.02 * width - 0.003 * rate, "measure": -length + 0.05 * rate}
            for width, length in enumerate(LENGTHS)
            for rate in range(4)
        ]
    )
    found = judge(frame, gap="gap", axes=["width", "rate"])["measures"]["measure"]
    figure, (panel,) = panels(1, width=4.5, height=3.0)
    for width in range(len(LENGTHS)):
        rows = frame[frame["width"] == width]
        style = {"color": COLOURS[width], "marker": MARKERS[width], "linestyle": LINES[width]}
        panel.plot(rows["measure"], 100 * rows["gap"], label=f"width {2**width}", **style)
    psi = found["granulated_psi"]
    axes = ", ".join(f"ψ({name}) = {value:.2f}" for name, value in psi["axes"].items())
    title = f"τ = {found['kendall_tau']['value']:.2f}, Ψ = {psi['value']:.2f}: {axes}"
    panel.set(xlabel="a measure (lower is better)", ylabel="gap, %")
    panel.set_title(title, fontsize=8)
    panel.legend(frameon=False, fontsize=8)
    return figure


def sign_weights() -> Figure:
    """Return the weight of a pair in the sign error over the difference of its gaps."""
    figure, (panel,) = panels(1, width=4.5, height=3.0)
    differences = np.linspace(0, 0.3, 601)
    for size, colour, line in zip((360, 1_000, 10_000), COLOURS, LINES, strict=False):
        weights = pair_weights(differences, size)
        panel.plot(100 * differences, weights, color=colour, linestyle=line, label=f"{size:,} test samples")
    panel.set(xlabel="difference of the gaps, percentage points", ylabel="weight of the pair")
    panel.legend(frameon=False, fontsize=8)
    return figure


if __name__ == "__main__":
    main()
