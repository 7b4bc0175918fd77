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
from infomcr_cli.report.rows import mark_mixed
from infomcr_cli.runs.metrics import MetricsLog

MOST_RUNS = 60
MOST_CURVES = 4
GAMMA = "gamma"
Line = tuple[np.ndarray, np.ndarray]


def training_curves(comparison: Comparison) -> Figure | None:
    """Return loss and accuracy over epochs of up to 60 runs; None where nothing was logged."""
    logged, damaged = _all_logged(comparison)
    names = Counter(name for lines in logged.values() for name in lines)
    names_shown = sorted((name for name in names if _is_score(name)), key=lambda name: (-names[name], name))
    curves = {name: {run: lines[name] for run, lines in logged.items() if name in lines} for name in names_shown}
    notes = [f"Left out, because metrics.jsonl cannot be read: {', '.join(damaged)}."] if damaged else []
    return _overlaid(comparison, dict(list(curves.items())[:MOST_CURVES]), "epoch", [*_cut(comparison), *notes])


def gamma_along_training(comparison: Comparison) -> Figure | None:
    """Return gamma at every checkpoint evaluated in the convention that is compared; None where no run has two."""
    found = {entry.name: trajectory(entry, GAMMA) for entry in _drawn(comparison)}
    lines = {run: _line(one.points) for run, one in found.items() if len(one.points) > 1}
    left_out = sum(one.left_out for one in found.values())
    notes = [f"Evaluations in other conventions, left out: {left_out}."] if left_out else []
    name = f"{mark_mixed(GAMMA, GAMMA in comparison.mixed_measures)}, nats"
    return _overlaid(comparison, {name: lines} if lines else {}, "step", [*_cut(comparison), *notes])


def spectra(comparison: Comparison) -> Figure | None:
    """Return the eigenvalues of the Gram matrix by rank on a logarithmic scale; None where none was kept."""
    found = {entry.name: line for entry in _drawn(comparison) if (line := _spectrum(entry)) is not None}
    name = mark_mixed("eigenvalue of G/N", GAMMA in comparison.mixed_measures)
    drawing = _overlaid(comparison, {name: found} if found else {}, "rank", _cut(comparison))
    if drawing is not None:
        logarithmic(drawing.axes[0])
    return drawing


def _drawn(comparison: Comparison) -> Sequence[EvaluatedRun]:
    return comparison.judged[:MOST_RUNS]


def _cut(comparison: Comparison) -> list[str]:
    count = len(comparison.judged)
    return [f"The first {MOST_RUNS} of {count} runs."] if count > MOST_RUNS else []


def _overlaid(
    comparison: Comparison, curves: Mapping[str, Mapping[str, Line]], x: str, notes: Sequence[str]
) -> Figure | None:
    if not curves:
        return None
    drawing, axes = panels(len(curves), width=4.8, height=3.4, columns=2)
    looks, handles = _looks(comparison)
    for panel, (name, lines) in zip(axes, curves.items(), strict=True):
        for run, (where, values) in lines.items():
            panel.plot(where, values, linewidth=1.0, alpha=0.85, **looks[run])
        panel.set_xlabel(x)
        panel.locator_params(axis="x", integer=True)
        panel.set_ylabel(name)
    legend_of(drawing, handles)
    note(drawing, notes)
    return drawing


def _looks(comparison: Comparison) -> tuple[dict[str, dict[str, Any]], list[Line2D]]:
    """Return how each run's line looks, and a legend: the first axis in colour, the second in the kind of line."""
    looks: dict[str, dict[str, Any]] = {entry.name: {"color": COLOURS[0]} for entry in comparison.judged}
    handles = []
    for axis, key, kinds in zip(comparison.axes, ("color", "linestyle"), (COLOURS, LINES), strict=False):
        for entry, label in zip(comparison.judged, axis.labels, strict=True):
            looks[entry.name][key] = kinds[axis.values.index(label) % len(kinds)]
        for index, value in enumerate(axis.values[: len(kinds)]):
            style: dict[str, Any] = {"color": "#666666", key: kinds[index]}
            handles.append(Line2D([], [], label=f"{axis.name} = {value}", **style))
    return looks, handles


def _all_logged(comparison: Comparison) -> tuple[dict[str, dict[str, Line]], list[str]]:
    """Return run → name → line, and the runs whose metrics.jsonl is damaged."""
    logged: dict[str, dict[str, Line]] = {}
    damaged = []
    for entry in _drawn(comparison):
        try:
            logged[entry.name] = _logged(entry)
        except (InputError, OSError):
            damaged.append(entry.name)
    return logged, damaged


def _logged(entry: EvaluatedRun) -> dict[str, Line]:
    points: dict[str, list[tuple[float, float]]] = {}
    for line in MetricsLog(entry.run).read():
        for name, value in line.values.items():
            points.setdefault(name, []).append((line.epoch, value))
    return {name: _line(values) for name, values in points.items()}


def _is_score(name: str) -> bool:
    return any(word in name.lower() for word in ("loss", "accuracy", "error"))


def _spectrum(entry: EvaluatedRun) -> Line | None:
    gamma = entry.evaluation.measures.get(GAMMA) if entry.evaluation else None
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
        left_out: steps that were evaluated in other conventions alone.
    """

    points: tuple[tuple[int, float], ...]
    left_out: int


def trajectory(entry: EvaluatedRun, measure: str) -> Trajectory:
    """Return a measure along training, as far as its convention is that of the number which is compared.

    A run whose compared checkpoint lacks the measure has no points: nothing says which convention is the one.
    """
    compared = entry.evaluation.measures.get(measure) if entry.evaluation else None
    wanted = None if compared is None else convention_text(compared.convention)
    same: dict[int, float] = {}
    steps: set[int] = set()
    for one in entry.evaluations.values():
        found = one.measures.get(measure)
        if one.step is None or found is None or found.value is None:
            continue
        steps.add(one.step)
        if convention_text(found.convention) == wanted:
            same[one.step] = found.value
    return Trajectory(tuple(sorted(same.items())), len(steps - same.keys()))
