"""All plots of a comparison, and their files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from infomcr_cli.report.comparison import Comparison
from infomcr_cli.report.output_files import write_whole
from infomcr_cli.report.plots.curves import gamma_along_training, spectra, training_curves
from infomcr_cli.report.plots.heatmap import between_measures, psi_by_axis
from infomcr_cli.report.plots.scatter import scatter
from infomcr_cli.report.plots.style import Plot, plot_style, render

_PLOTS: tuple[tuple[str, str, Callable[[Comparison], Figure | None]], ...] = (
    ("measures", "Each measure against the gap", scatter),
    ("psi", "ψ by axis: rank correlation when one setting changes", psi_by_axis),
    ("correlations", "Rank correlation between the measures", between_measures),
    ("gamma", "Gamma along training", gamma_along_training),
    ("spectra", "Spectra of the Gram matrix", spectra),
    ("training", "Training curves", training_curves),
)


def all_plots(comparison: Comparison) -> tuple[Plot, ...]:
    """Draw every plot for which the runs have the numbers."""
    plots = []
    with plot_style():
        for name, title, draw in _PLOTS:
            if (figure := draw(comparison)) is not None:
                plots.append(render(name, title, figure))
    return tuple(plots)


def save_plots(plots: Sequence[Plot], folder: Path) -> list[Path]:
    """Write each plot as SVG and PNG; return the paths.

    Raises:
        InputError: the directory cannot be written to.
    """
    written = []
    for one in plots:
        for suffix, content in (("svg", one.svg), ("png", one.png)):
            path = folder / f"{one.name}.{suffix}"
            write_whole(path, content, "--plots")
            written.append(path)
    return written
