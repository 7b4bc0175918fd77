"""Training curves: losses on a logarithmic axis, errors in percent, the learning rate; what changed is marked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from infomcr_cli.errors import InputError
from infomcr_cli.report.comparison import Comparison
from infomcr_cli.report.plots.bands import Line
from infomcr_cli.report.plots.curves import line_of, overlaid, runs_shown
from infomcr_cli.report.plots.schedule_marks import KINDS, Marks, all_marks, schedule_marks
from infomcr_cli.report.plots.style import logarithmic
from infomcr_cli.runs.metrics import MetricsLine, MetricsLog

MOST_CURVES = 6
LEARNING_RATE = "learning_rate"
_FIRST = ("train/loss", "test/loss", "train/accuracy", "test/accuracy", LEARNING_RATE)
_GREY = "#777777"


def training_curves(comparison: Comparison) -> Figure | None:
    """Return losses, errors and learning rate over epochs of up to 60 runs; None if nothing was logged."""
    logged, damaged = _all_logged(comparison)
    lines = {run: logged_lines(one) for run, one in logged.items()}
    names = names_shown(lines)
    if not names:
        return None
    curves = {label_of_metric(name): {run: own[name] for run, own in lines.items() if name in own} for name in names}
    runs = [run for run in runs_shown(comparison) if logged.get(run.name)]
    marks = all_marks([schedule_marks(run.config, logged[run.name][-1].epoch) for run in runs])
    notes = [f"Left out, because metrics.jsonl cannot be read: {', '.join(damaged)}."] if damaged else []
    figure = overlaid(comparison, curves, "epoch", notes, legend_of_marks(marks))
    for panel, name in zip(figure.axes, names, strict=False):
        # A logarithmic axis needs some positive value.
        is_positive = any((values > 0).any() for _, values in curves[label_of_metric(name)].values())
        if is_positive and (_is_loss(name) or name == LEARNING_RATE):
            logarithmic(panel)
        if name == LEARNING_RATE:
            for line in panel.get_lines():
                line.set_drawstyle("steps-post")  # what is logged after an epoch is the rate of the next step
        draw_marks(panel, marks)
    return figure


def draw_marks(panel: Any, marks: Marks) -> None:
    """Draw a vertical line at each epoch at which the schedule changes something."""
    for kind, epochs in marks.items():
        for epoch in epochs:
            panel.axvline(epoch, color=_GREY, linewidth=0.9, linestyle=KINDS[kind], zorder=0)


def names_shown(lines: Mapping[str, Mapping[str, Line]]) -> list[str]:
    """Return the curves that have panels: the usual ones first, then what most runs have."""
    counts = Counter(
        name for own in lines.values() for name in own if _is_loss(name) or _is_share(name) or name == LEARNING_RATE
    )
    usual = [name for name in _FIRST if name in counts]
    others = sorted((name for name in counts if name not in usual), key=lambda name: (-counts[name], name))
    return [*usual, *others][:MOST_CURVES] if counts.keys() != {LEARNING_RATE} else []


def label_of_metric(name: str) -> str:
    """Return the label of a curve's axis, with its unit.

    Examples:
        >>> label_of_metric("train/loss"), label_of_metric("test/accuracy"), label_of_metric("learning_rate")
        ('train loss, nats', 'test error, %', 'learning rate')
    """
    words = name.replace("/", " ").replace("_", " ")
    if _is_loss(name):
        return f"{words}, nats"
    return f"{words.replace('accuracy', 'error')}, %" if _is_share(name) else words


def _is_loss(name: str) -> bool:
    return "loss" in name.lower()


def _is_share(name: str) -> bool:
    return any(word in name.lower() for word in ("accuracy", "error")) and not _is_loss(name)


def _all_logged(comparison: Comparison) -> tuple[dict[str, list[MetricsLine]], list[str]]:
    """Return the lines of metrics of each run, and the runs whose metrics.jsonl is damaged."""
    logged: dict[str, list[MetricsLine]] = {}
    damaged = []
    for run in runs_shown(comparison):
        try:
            logged[run.name] = MetricsLog(run.directory).read()
        except (InputError, OSError):
            damaged.append(run.name)
    return logged, damaged


def logged_lines(logged: Sequence[MetricsLine]) -> dict[str, Line]:
    """Return name → line over epochs; accuracies become errors in percent."""
    points: dict[str, list[tuple[float, float]]] = {}
    for line in logged:
        for name, value in line.values.items():
            shown = value
            if _is_share(name):
                shown = 100 * (1 - value if "accuracy" in name.lower() else value)
            points.setdefault(name, []).append((line.epoch, shown))
    return {name: line_of(values) for name, values in points.items()}


def legend_of_marks(marks: Marks) -> list[Line2D]:
    """Return the entries of a legend for the kinds of vertical lines."""
    return [Line2D([], [], color=_GREY, linewidth=0.9, linestyle=KINDS[kind], label=kind) for kind in marks]
