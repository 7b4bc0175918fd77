"""Plot the spectrum of the Gram matrix of one evaluation: draw-averaged eigenvalues, largest first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from infomcr_cli.report.plots.style import COLOURS, logarithmic, plot_style, render
from infomcr_cli.runs.measures_file import Evaluation, MeasureRecord


def save_spectra(evaluations: Iterable[Evaluation], folder: Path) -> None:
    """Plot the spectrum that gamma recorded at each evaluated checkpoint, if it did, into a folder."""
    for evaluation in evaluations:
        gamma = evaluation.measures.get("gamma", MeasureRecord())
        save_spectrum(gamma.spectrum or [], folder / f"spectrum-{evaluation.checkpoint}")


def save_spectrum(eigenvalues: Sequence[float], path: Path) -> list[Path]:
    """Plot a spectrum and write it as SVG and PNG.

    Args:
        eigenvalues: of G/N, [N], in any order; empty: nothing is written.
        path:        of the files, without a suffix; its folder is created.

    Returns:
        The files that were written.
    """
    if not len(eigenvalues):
        return []
    values = np.sort(np.array(eigenvalues))[::-1]  # [N], largest first
    title = path.name.removeprefix("spectrum-")
    with plot_style():
        plot = render(path.name, f"Spectrum of the Gram matrix, {title}", _spectrum(values, title))
    path.parent.mkdir(exist_ok=True)
    files = {path.parent / f"{path.name}.svg": plot.svg, path.parent / f"{path.name}.png": plot.png}
    for file, content in files.items():
        file.write_bytes(content)
    return list(files)


def _spectrum(values: np.ndarray, checkpoint: str) -> Figure:
    figure = Figure(figsize=(4.5, 3.2), layout="constrained", dpi=150)
    axes = figure.subplots()
    axes.plot(np.arange(1, len(values) + 1), np.where(values > 0, values, np.nan), color=COLOURS[0], linewidth=1.4)
    logarithmic(axes)
    axes.set_xlabel("rank of the eigenvalue")
    axes.set_ylabel("eigenvalue of G/N")
    axes.set_title(f"Empirical Fisher information, {checkpoint}", fontsize=9)
    return figure
