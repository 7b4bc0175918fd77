"""Plot spectral densities: lines of several runs, with bands of their standard error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from infomcr_cli.report.plots.style import COLOURS, LINES, Plot, legend_of, logarithmic, note, plot_style, render, short

TITLES = {"hessian": "Spectral density of the Hessian", "fisher": "Spectral density of G/N"}
FEWEST = 1e-3  # of one eigenvalue in a width σ: what is less is not drawn


def density_pictures(document: Mapping[str, Any]) -> list[Plot]:
    """Return the picture of a spectrum's document."""
    with plot_style():
        title = TITLES[document["operator"]]
        return [render("density", title, _density(document), _alt(document, title))]


def _density(document: Mapping[str, Any]) -> Figure:
    figure = Figure(figsize=(6.4, 3.8), layout="constrained", dpi=150)
    panel = figure.subplots()
    floor = FEWEST / document["width"]
    for index, run in enumerate(document["runs"]):
        grid, value = np.array(run["density"]["grid"]), run["size"] * np.array(run["density"]["value"])
        error = run["size"] * np.array(run["density"]["std_error"] or np.zeros(len(grid)), np.float64)
        colour = COLOURS[index % len(COLOURS)]
        style: dict[str, Any] = {"linestyle": LINES[index % len(LINES)], "linewidth": 1.2, "label": short(run["name"])}
        panel.fill_between(
            grid, np.maximum(value - error, floor), np.maximum(value + error, floor), color=colour, alpha=0.25, lw=0
        )
        panel.plot(grid, np.where(value > floor, value, np.nan), color=colour, **style)
    logarithmic(panel)
    panel.set_ylim(bottom=floor)
    panel.set_xlabel("eigenvalue")
    panel.set_ylabel("eigenvalues per unit")
    legend_of(figure, panel.get_lines())
    note(figure, _notes(document))
    return figure


def _notes(document: Mapping[str, Any]) -> list[str]:
    probes = document["probes"]
    band = " Bands: one standard error." if probes > 1 else ""
    return [
        f"{document['samples']:,} training images, {probes} probes of {document['steps']} Lanczos steps, "
        f"Gaussians of width {document['width']:.2g}.{band}"
    ]


def _alt(document: Mapping[str, Any], title: str) -> str:
    described = [
        f"{run['name']}: from {run['smallest']:.3g} to {run['largest']:.3g}, trace {run['trace']['value']:.3g}"
        for run in document["runs"]
    ]
    return f"{title} on a logarithmic axis. {'; '.join(described)}."
