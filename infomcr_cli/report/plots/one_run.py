"""Plots of a single run: its learning curves, training and test in one panel, and gamma along its training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.lines import Line2D

from infomcr_cli.report.plots.bands import Line
from infomcr_cli.report.plots.curves import GAMMA
from infomcr_cli.report.plots.marks import Mark, kept_positions, numbers
from infomcr_cli.report.plots.schedule_marks import schedule_marks
from infomcr_cli.report.plots.style import (
    COLOURS,
    LINES,
    Plot,
    legend_of,
    logarithmic,
    note,
    panels,
    plot_style,
    render,
)
from infomcr_cli.report.plots.training import (
    LEARNING_RATE,
    draw_marks,
    label_of_metric,
    legend_of_marks,
    logged_lines,
    names_shown,
)
from infomcr_cli.report.tables import format_number
from infomcr_cli.runs import MetricsLine

LARGEST = 1e150  # what an axis can show


@dataclass(frozen=True)
class GammaAtStep:
    """Gamma of a checkpoint, nats; `std_error` is None if it was not estimated."""

    step: int
    value: float
    std_error: float | None


_SPLITS = ("train", "test", "validation")


def learning_curves(metrics: Sequence[MetricsLine], config: Mapping[str, Any]) -> Plot | None:
    """Return losses, errors and learning rate over epochs, with what the schedule changes; None without two epochs.

    Args:
        metrics: lines of metrics.jsonl.
        config:  flat settings of the run.
    """
    lines = {name: line for name, line in logged_lines(metrics).items() if len(line[0]) > 1}
    shown = names_shown({"": lines})
    if not shown:
        return None
    by_panel: dict[str, list[str]] = {}
    for name in shown:
        by_panel.setdefault(_quantity(name), []).append(name)
    marks = schedule_marks(config, metrics[-1].epoch)
    with plot_style():
        figure, axes = panels(len(by_panel), width=4.8, height=2.8, columns=2)
        for place, (panel, (quantity, names)) in enumerate(zip(axes, by_panel.items(), strict=True)):
            for name in names:
                label, (x, y) = label_of_metric(name).partition(",")[0], lines[name]
                drawn = panel.plot(x, y, linewidth=1.2, **_style(name))
                kept = kept_positions(len(x))
                figure.record(Mark(place, (), label, numbers(x[kept]), numbers(y[kept])), drawn)
            _finish(panel, quantity, [lines[name] for name in names])
            draw_marks(panel, marks)
        splits = [split for split in _SPLITS if any(name.startswith(f"{split}/") for name in shown)]
        own = [Line2D([], [], label=split, **_style(f"{split}/")) for split in splits]
        legend_of(figure, [*own, *legend_of_marks({kind: at for kind, at in marks.items() if at})])
        return render("training", "Learning curves", figure, _alt(lines, shown, marks))


def gamma_curve(points: Sequence[GammaAtStep]) -> Plot | None:
    """Return gamma with its standard error at the checkpoints of a run; None if fewer than two were evaluated."""
    points = [one for one in points if abs(one.value) < LARGEST and (one.std_error or 0.0) < LARGEST]
    if len(points) < 2:
        return None
    steps = np.array([one.step for one in points])  # [points], as the two below
    values, errors = (
        np.array(column) for column in zip(*((one.value, one.std_error or 0.0) for one in points), strict=True)
    )
    with plot_style():
        figure, (panel,) = panels(1, width=4.8, height=2.8)
        bars: dict[str, Any] = {
            "color": COLOURS[0],
            "marker": "o",
            "markersize": 4,
            "linewidth": 1.2,
            "elinewidth": 0.9,
        }
        drawn = panel.errorbar(steps, values, yerr=errors, **bars)
        edges = (numbers(values - errors), numbers(values + errors)) if errors.any() else ((), ())
        what = "in parentheses ± one standard error" if errors.any() else ""
        mark = Mark(0, (), GAMMA, numbers(steps), numbers(values), *edges, note=what)
        figure.record(mark, drawn.get_children())
        panel.set_xlabel("step")
        panel.set_ylabel("gamma, nats")
        panel.locator_params(axis="x", integer=True)
        note(figure, ["Bars: the standard error over draws."] if errors.any() else [])
        ends = f"from {format_number(values[0])} at step {steps[0]} to {format_number(values[-1])} nats"
        return render("gamma", "Gamma along training", figure, f"Line of gamma over training steps, {ends}.")


def _quantity(name: str) -> str:
    """Return the label of the panel in which a metric is drawn: one for each quantity, whatever the split.

    Examples:
        >>> _quantity("train/loss"), _quantity("test/accuracy"), _quantity("learning_rate")
        ('loss, nats', 'error, %', 'learning rate')
    """
    label = label_of_metric(name)
    split, _, rest = label.partition(" ")
    return rest if split in _SPLITS and rest else label


def _style(name: str) -> dict[str, Any]:
    split = name.partition("/")[0]
    if split not in _SPLITS:
        return {"color": "#444444"}
    return {"color": COLOURS[_SPLITS.index(split)], "linestyle": LINES[_SPLITS.index(split)]}


def _finish(panel: Any, quantity: str, lines: Sequence[Line]) -> None:
    panel.set_xlabel("epoch")
    panel.set_ylabel(quantity)
    panel.locator_params(axis="x", integer=True)
    is_rate = quantity == label_of_metric(LEARNING_RATE)
    if is_rate:
        for line in panel.get_lines():
            line.set_drawstyle("steps-post")  # what is logged after an epoch is the rate of the next step
    if (is_rate or "loss" in quantity) and any((values > 0).any() for _, values in lines):
        logarithmic(panel)


def _alt(lines: Mapping[str, Line], shown: Sequence[str], marks: Mapping[str, Sequence[float]]) -> str:
    ends = ", ".join(f"{label_of_metric(name)} {format_number(lines[name][1][-1])}" for name in shown)
    changes = [f"{kind} at epoch {', '.join(f'{epoch:g}' for epoch in at)}" for kind, at in marks.items() if at]
    return " ".join((f"Lines over epochs. At the end: {ends}.", *(f"The {one}." for one in changes)))
