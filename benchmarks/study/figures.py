"""The figures of docs/study.md: measures against the gap, Ψ of every measure with its interval, ψ by axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from benchmarks.study.evaluations import trajectories
from benchmarks.study.families import family
from benchmarks.study.minima_results import NOISE, without_costly
from benchmarks.study.results import GAPS, NORMALISED, RANK_BY, frame_of, is_complete, judgement, rows_of
from infomcr_cli.measures.base import chosen_measures
from infomcr_cli.report.plots.style import COLOURS, LINES, MARKERS, legend_of, panels, plot_style, render, with_unit

SHOWN = ("gamma", NORMALISED, "train_loss")  # and the best measure of each family
LOGARITHMIC = 100.0  # ratio of the largest to the smallest value from which a scale is logarithmic


def draw_figures(tables: Path) -> dict[str, str]:
    """Draw the figures of the minima once their table is complete; return file → what it shows."""
    chosen, rows = family("minima", tables), rows_of("minima", tables)
    if not is_complete(chosen, rows):
        return {}
    frame = without_costly(frame_of(tables / "minima.csv"))
    found = {gap: judgement(frame, gap, chosen.axes) for gap in GAPS}
    drawn: dict[str, str] = {}
    with plot_style():
        for gap, words in GAPS.items():
            drawn |= _save(tables, f"forest-{gap}", f"Ψ of every measure against {words}", forest(found[gap]))
        drawn |= _save(tables, "psi", "ψ by axis against the error gap", psi_by_axis(found["gap_error"], chosen.axes))
        shown = measures_shown(found["gap_error"])
        ranked = frame[frame["in_verdict"]]
        drawn |= _save(tables, "measures", "Measures against the error gap", against_gap(ranked, shown, "gap_error"))
        if (path := trajectories(chosen, tables).path).exists():
            drawn |= _save(tables, "gamma", "Gamma along training, lines of rate and batch size", along(frame_of(path)))
    return drawn


def forest(found: Mapping[str, Any]) -> Figure:
    """Return Ψ of every measure with its interval, one family after the other, best first."""
    families = {kind: one["measures"] for kind, one in found["families"].items()}
    names = [name for kind in families for name in families[kind]]
    colours = {name: COLOURS[number % len(COLOURS)] for number, kind in enumerate(families) for name in families[kind]}
    figure = Figure(figsize=(6.5, 0.19 * (len(names) + 2) + 1.2), layout="constrained", dpi=150)
    panel: Any = figure.subplots()
    for place, name in enumerate(names):
        one = found["measures"][name]["oriented"][RANK_BY]
        if one["value"] is not None:
            bars = None if one["low"] is None else [[one["value"] - one["low"]], [one["high"] - one["value"]]]
            panel.errorbar(one["value"], place, xerr=bars, fmt="o", color=colours[name], markersize=4, capsize=2)
    panel.axvline(0, color="black", linewidth=0.8)
    panel.set_yticks(range(len(names)), [f"{name}  ({kind_of(families, name)})" for name in names], fontsize=7)
    panel.set_ylim(len(names) - 0.5, -0.5)
    panel.set_xlabel(f"Ψ, 95 % interval, {found['n']} minima\nabove 0: ranks as its direction claims")
    return figure


def kind_of(families: Mapping[str, Sequence[str]], name: str) -> str:
    """Return the family of a measure."""
    return next(kind for kind, names in families.items() if name in names)


def psi_by_axis(found: Mapping[str, Any], axes: Sequence[str]) -> Figure:
    """Return ψ of every measure on every axis, positive where it ranks as its direction claims."""
    names = list(found["measures"])
    sign = {name: -1.0 if found["measures"][name]["direction"] == "higher" else 1.0 for name in names}
    values = np.array(
        [[sign[name] * (_number(found["measures"][name][RANK_BY]["axes"][axis])) for axis in axes] for name in names]
    )
    figure = Figure(figsize=(6.5, 0.2 * len(names) + 1.5), layout="constrained", dpi=150)
    panel: Any = figure.subplots()
    image = panel.imshow(values, cmap="PuOr_r", vmin=-1, vmax=1, aspect="auto")
    panel.grid(False)
    panel.set_xticks(range(len(axes)), axes, rotation=30, ha="right")
    panel.set_yticks(range(len(names)), names, fontsize=7)
    for (row, column), value in np.ndenumerate(values):
        colour = "white" if abs(value) > 0.7 else "black"
        text = "–" if np.isnan(value) else f"{value:.2f}"
        panel.text(column, row, text, ha="center", va="center", fontsize=6, color=colour)
    figure.colorbar(image, ax=panel, label="ψ", shrink=0.6)
    return figure


def measures_shown(found: Mapping[str, Any]) -> list[str]:
    """Return the measures that are drawn: gamma, the training loss, and the best one of each family."""
    best = [one["best"] for one in found["families"].values() if one["best"]]
    return [name for name in dict.fromkeys((*SHOWN, *best)) if name in found["measures"]]


def against_gap(ranked: pd.DataFrame, names: Sequence[str], gap: str) -> Figure:
    """Return a panel for each measure: a point for each run with its standard errors, label noise by colour."""
    figure, places = panels(len(names))
    units = {one.name: one.unit for one in chosen_measures()}
    noises, optimizers = (list(dict.fromkeys(ranked[axis])) for axis in (NOISE, "optimizer"))
    for panel, name in zip(places, names, strict=True):
        for (noise, optimizer), part in ranked.groupby([NOISE, "optimizer"]):
            style = {"color": COLOURS[noises.index(noise)], "fmt": MARKERS[optimizers.index(optimizer)], **_POINTS}
            errors = part.get(f"{name} std_error")
            panel.errorbar(part[name], 100 * part[gap], xerr=errors, yerr=100 * part[f"{gap} std_error"], **style)
        if (ranked[name] > 0).all() and ranked[name].max() > LOGARITHMIC * ranked[name].min():
            panel.set_xscale("log")
            panel.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
            panel.xaxis.set_minor_formatter(lambda *_: "")
        else:
            panel.locator_params(axis="x", nbins=5)
        panel.set_xlabel(with_unit(name, units.get(name)))
        panel.set_ylabel("error gap, %")
    legend_of(figure, [*_handles([f"label noise {one:g}" for one in noises]), *_markers(optimizers)])
    return figure


def along(frame: pd.DataFrame) -> Figure:
    """Return gamma against the clean training loss on the way to the target, a line for each run."""
    figure = Figure(figsize=(6.0, 3.6), layout="constrained", dpi=150)
    panel: Any = figure.subplots()
    rates, batches = list(dict.fromkeys(frame["rate"])), list(dict.fromkeys(frame["batch_size"]))
    for (rate, batch), part in frame.groupby(["rate", "batch_size"], sort=False):
        line = part.sort_values("step")
        style = {"color": COLOURS[rates.index(rate)], "linestyle": LINES[batches.index(batch) % len(LINES)]}
        panel.errorbar(line["train_loss"], line["gamma"], yerr=line["gamma std_error"], marker=".", **style)
    panel.set_xscale("log")
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    panel.xaxis.set_minor_formatter(lambda *_: "")
    panel.invert_xaxis()
    panel.set_xlabel("clean training loss, nats")
    panel.set_ylabel("gamma, nats")
    legend_of(
        figure, [*_handles([f"rate {rate}" for rate in rates]), *_lines([f"batch size {batch}" for batch in batches])]
    )
    return figure


def _lines(names: Sequence[str]) -> list[Any]:
    from matplotlib.lines import Line2D

    styles: Any = LINES
    return [Line2D([], [], linestyle=one, color="black", label=name) for one, name in zip(styles, names, strict=False)]


def _markers(names: Sequence[str]) -> list[Any]:
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], marker=one, linestyle="", color="black", label=name)
        for one, name in zip(MARKERS, names, strict=False)
    ]


_POINTS: dict[str, Any] = {"markersize": 2.5, "elinewidth": 0.4, "alpha": 0.7}


def _handles(names: Sequence[str]) -> list[Any]:
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], marker="o", linestyle="", color=colour, label=name)
        for colour, name in zip(COLOURS, names, strict=False)
    ]


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _save(folder: Path, name: str, title: str, figure: Figure) -> dict[str, str]:
    """Write a figure as PNG, or as SVG if it has few points; return its file and title."""
    plot = render(name, title, figure)
    suffix, content = (".png", plot.png) if name == "measures" else (".svg", plot.svg)
    (folder / f"{name}{suffix}").write_bytes(content)
    return {f"{name}{suffix}": title}
