"""Plot the fragility of each measure: the spread that each change causes over the spread between minima."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from infomcr_cli.report.audit import CHANGES, Audit
from infomcr_cli.report.plots.style import COLOURS, MARKERS, plot_style, render, short

SMALLEST = 1e-6  # a ratio that is shown; smaller ones stand at the edge


def save_audit_plot(audit: Audit, folder: Path) -> list[Path]:
    """Write audit.svg and audit.png; nothing if no measure has a ratio.

    Returns:
        The files that were written.
    """
    shown = {name: one for name, one in audit.measures.items() if one.fragility is not None}
    if not shown:
        return []
    ordered = sorted(shown, key=lambda name: -(shown[name].fragility or 0.0))
    with plot_style():
        plot = render("audit", f"Fragility of the measures of {audit.run}", _dots(audit, ordered))
    folder.mkdir(exist_ok=True)
    files = {folder / "audit.svg": plot.svg, folder / "audit.png": plot.png}
    for file, content in files.items():
        file.write_bytes(content)
    return list(files)


def _dots(audit: Audit, ordered: list[str]) -> Figure:
    figure = Figure(figsize=(6.0, 0.9 + 0.17 * len(ordered)), layout="constrained", dpi=150)
    axes: Any = figure.subplots()
    for index, kind in enumerate(kind for kind in CHANGES if kind in audit.changes):
        found = [
            (max(one.ratio, SMALLEST), place)
            for place, name in enumerate(ordered)
            if (one := audit.measures[name].changes.get(kind)) is not None and one.ratio is not None
        ]
        axes.scatter(
            [ratio for ratio, _ in found],
            [place for _, place in found],
            color=COLOURS[index],
            marker=MARKERS[index],
            s=18,
            label=CHANGES[kind],
        )
    axes.axvline(1.0, color="#555555", linewidth=0.8, linestyle="--")
    axes.set_axisbelow(True)
    axes.set_ylim(-0.7, len(ordered) - 0.3)
    axes.set_xscale("log")
    axes.set_xlim(left=SMALLEST / 2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_yticks(range(len(ordered)), [short(name) for name in ordered], fontsize=7)
    axes.set_xlabel("spread of the change / spread between minima")
    figure.legend(loc="outside lower center", ncols=2, fontsize=7)
    return figure
