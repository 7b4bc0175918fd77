"""Lines over training and over rank: learning curves, gamma along training, spectra of the Gram matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from infomcr_cli.errors import InputError
from infomcr_cli.report.comparison import Comparison
from infomcr_cli.report.evaluated_run import EvaluatedRun, convention_text
from infomcr_cli.report.plots.style import COLOURS, LINES, legend_of, logarithmic, note, panels
from infomcr_cli.report.tables import mark_mixed
from infomcr_cli.runs.metrics import MetricsLog

MOST_RUNS = 60
MOST_CURVES = 4
GAMMA = "gamma"
Line = tuple[np.ndarray, np.ndarray]


def training_curves(comparison: Comparison) -> Figure | None:
    """Return loss and accuracy over epochs of up to 60 runs; None if nothing was logged."""
    logged, damaged = _all_logged(comparison)
    names = Counter(name for lines in logged.values() for name in lines)
    names_shown = sorted((name for name in names if _is_score(name)), key=lambda name: (-names[name], name))
    curves = {name: {run: lines[name] for run, lines in logged.items() if name in lines} for name in names_shown}
    notes = [f"Left out, because metrics.jsonl cannot be read: {', '.join(damaged)}."] if damaged else []
    return _overlaid(comparison, dict(list(curves.items())[:MOST_CURVES]), "epoch", [*_cut(comparison), *notes])


def gamma_along_training(comparison: Comparison) -> Figure | None:
    """Return gamma at every checkpoint evaluated in the compared convention; None if no run has two."""
    found = {run.name: trajectory(run, GAMMA) for run in _shown(comparison)}
    lines = {run: _line(one.points) for run, one in found.items() if len(one.points) > 1}
    left_out = sum(one.left_out for one in found.values())
    notes = [f"Evaluations in other conventions, left out: {left_out}."] if left_out else []
    name = f"{mark_mixed(GAMMA, GAMMA in comparison.mixed_measures)}, nats"
    return _overlaid(comparison, {name: lines} if lines else {}, "step", [*_cut(comparison), *notes])


def spectra(comparison: Comparison) -> Figure | None:
    """Return the eigenvalues of the Gram matrix by rank on a logarithmic scale; None if none was recorded."""
    found = {run.name: line for run in _shown(comparison) if (line := _spectrum(run)) is not None}
    name = mark_mixed("eigenvalue of G/N", GAMMA in comparison.mixed_measures)
    figure = _overlaid(comparison, {name: found} if found else {}, "rank", _cut(comparison))
    if figure is not None:
        logarithmic(figure.axes[0])
    return figure


def _shown(comparison: Comparison) -> Sequence[EvaluatedRun]:
    return comparison.included[:MOST_RUNS]


def _cut(comparison: Comparison) -> list[str]:
    count = len(comparison.included)
    return [f"The first {MOST_RUNS} of {count} runs."] if count > MOST_RUNS else []


def _overlaid(
    comparison: Comparison, curves: Mapping[str, Mapping[str, Line]], x: str, notes: Sequence[str]
) -> Figure | None:
    if not curves:
        return None
    figure, axes = panels(len(curves), width=4.8, height=3.4, columns=2)
    styles, handles = _line_styles(comparison)
    for panel, (name, lines) in zip(axes, curves.items(), strict=True):
        for run, (positions, values) in lines.items():
            panel.plot(positions, values, linewidth=1.0, alpha=0.85, **styles[run])
        panel.set_xlabel(x)
        panel.locator_params(axis="x", integer=True)
        panel.set_ylabel(name)
    legend_of(figure, handles)
    note(figure, notes)
    return figure


def _line_styles(comparison: Comparison) -> tuple[dict[str, dict[str, Any]], list[Line2D]]:
    """Return the style of each run's line, and a legend: the first axis as colour, the second as kind of line."""
    styles: dict[str, dict[str, Any]] = {run.name: {"color": COLOURS[0]} for run in comparison.included}
    handles = []
    for axis, key, kinds in zip(comparison.axes, ("color", "linestyle"), (COLOURS, LINES), strict=False):
        for run, label in zip(comparison.included, axis.labels, strict=True):
            styles[run.name][key] = kinds[axis.values.index(label) % len(kinds)]
        for index, value in enumerate(axis.values[: len(kinds)]):
            style: dict[str, Any] = {"color": "#666666", key: kinds[index]}
            handles.append(Line2D([], [], label=f"{axis.name} = {value}", **style))
    return styles, handles


def _all_logged(comparison: Comparison) -> tuple[dict[str, dict[str, Line]], list[str]]:
    """Return run → name → line, and the runs whose metrics.jsonl is damaged."""
    logged: dict[str, dict[str, Line]] = {}
    damaged = []
    for run in _shown(comparison):
        try:
            logged[run.name] = _logged(run)
        except (InputError, OSError):
            damaged.append(run.name)
    return logged, damaged


def _logged(run: EvaluatedRun) -> dict[str, Line]:
    points: dict[str, list[tuple[float, float]]] = {}
    for line in MetricsLog(run.directory).read():
        for name, value in line.values.items():
            points.setdefault(name, []).append((line.epoch, value))
    return {name: _line(values) for name, values in points.items()}


def _is_score(name: str) -> bool:
    return any(word in name.lower() for word in ("loss", "accuracy", "error"))


def _spectrum(run: EvaluatedRun) -> Line | None:
    gamma = run.evaluation.measures.get(GAMMA)
    values = np.sort(np.array(gamma.spectrum or []))[::-1] if gamma is not None else np.array([])
    values = values[values > 0]
    return (np.arange(1, len(values) + 1), values) if len(values) else None


def _line(points: Sequence[tuple[float, float]]) -> Line:
    values = np.array(points, dtype=np.float64).reshape(-1, 2)
    values = values[np.isfinite(values).all(axis=1) & (np.abs(values) < 1e150).all(axis=1)]
    return values[:, 0], values[:, 1]


@dataclass(frozen=True)
class Trajectory:
    """Values over training.

    Attributes:
        points:   (step, value), by step.
        left_out: number of steps that were evaluated in other conventions only.
    """

    points: tuple[tuple[int, float], ...]
    left_out: int


def trajectory(run: EvaluatedRun, measure: str) -> Trajectory:
    """Return a measure along training, at the checkpoints evaluated in the convention of the compared number.

    If the compared checkpoint lacks the measure there are no points, because the convention is not known.
    """
    compared = run.evaluation.measures.get(measure)
    wanted = None if compared is None else convention_text(compared.convention)
    same: dict[int, float] = {}
    steps: set[int] = set()
    for one in run.evaluations.values():
        found = one.measures.get(measure)
        if one.step is None or found is None or found.value is None:
            continue
        steps.add(one.step)
        if convention_text(found.convention) == wanted:
            same[one.step] = found.value
    return Trajectory(tuple(sorted(same.items())), len(steps - same.keys()))
