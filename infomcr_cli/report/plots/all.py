"""All plots of a comparison, and their files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from infomcr_cli.report.comparison import Comparison
from infomcr_cli.report.output_files import write_whole
from infomcr_cli.report.plots import alt_text
from infomcr_cli.report.plots.curves import gamma_along_training, spectra
from infomcr_cli.report.plots.heatmap import between_measures, psi_by_axis
from infomcr_cli.report.plots.scatter import (
    gamma_against_gap,
    measures_against_gap,
    pictures_of,
    varying_measures,
)
from infomcr_cli.report.plots.style import Plot, plot_style, render
from infomcr_cli.report.plots.training import training_curves

_Draw = Callable[[Comparison], Figure | None]
_Describe = Callable[[Comparison], str]
_FIRST: tuple[tuple[str, str, _Draw, _Describe], ...] = (
    ("training", "Training curves", training_curves, alt_text.training_curves),
    ("gamma-gap", "Gamma against the gap", gamma_against_gap, alt_text.gamma_against_gap),
)
_LAST: tuple[tuple[str, str, _Draw, _Describe], ...] = (
    ("psi", "ψ by axis: rank correlation when one setting changes", psi_by_axis, alt_text.psi_by_axis),
    ("correlations", "Rank correlation between the measures", between_measures, alt_text.between_measures),
    ("gamma", "Gamma along training", gamma_along_training, alt_text.gamma_along_training),
    ("spectra", "Spectra of the Gram matrix", spectra, alt_text.spectra),
)


def all_plots(comparison: Comparison, *, png: bool = True) -> tuple[Plot, ...]:
    """Draw every plot for which the runs have the numbers, in the order in which a reader wants them.

    Args:
        png: draw PNG beside SVG.
    """
    with plot_style():
        first, last = (
            [
                render(name, title, figure, describe(comparison), png=png)
                for name, title, draw, describe in kind
                if (figure := draw(comparison)) is not None
            ]
            for kind in (_FIRST, _LAST)
        )
        return (*first, *_measures(comparison, png=png), *last)


def _measures(comparison: Comparison, *, png: bool) -> list[Plot]:
    """Return the pictures of all measures but gamma: measures, measures-2 and so on."""
    plots = []
    parts = pictures_of(varying_measures(comparison))
    for number, (figure, names) in enumerate(zip(measures_against_gap(comparison), parts, strict=True), start=1):
        name = "measures" if number == 1 else f"measures-{number}"
        title = "Each other measure against the gap" + (f", {number} of {len(parts)}" if len(parts) > 1 else "")
        plots.append(render(name, title, figure, alt_text.measures_against_gap(comparison, names), png=png))
    return plots


def save_plots(plots: Sequence[Plot], folder: Path) -> list[Path]:
    """Write each plot as SVG, and as PNG if it has one; return the paths.

    Raises:
        InputError: the directory cannot be written to.
    """
    written = []
    for one in plots:
        for suffix, content in (("svg", one.svg), ("png", one.png)):
            if not content:
                continue
            path = folder / f"{one.name}.{suffix}"
            write_whole(path, content, "--plots")
            written.append(path)
    return written
