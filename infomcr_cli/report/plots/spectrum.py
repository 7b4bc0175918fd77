"""The picture of one evaluation: the spectrum of the Gram matrix, draw-averaged, largest first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from infomcr_cli.report.plots.style import COLOURS, logarithmic, picture, styled


def save_spectrum(measures: Mapping[str, Mapping[str, Any]], folder: Path, checkpoint: str) -> list[Path]:
    """Draw the spectrum that gamma's entry holds, as SVG and PNG; return the files, none where it holds none."""
    values = np.sort(np.array((measures.get("gamma") or {}).get("spectrum") or []))[::-1]
    if not len(values):
        return []
    with styled():
        drawn = picture(
            f"spectrum-{checkpoint}", f"Spectrum of the Gram matrix, {checkpoint}", _figure(values, checkpoint)
        )
    folder.mkdir(exist_ok=True)
    files = {folder / f"{drawn.name}.svg": drawn.svg, folder / f"{drawn.name}.png": drawn.png}
    for path, content in files.items():
        path.write_bytes(content)
    return list(files)


def _figure(values: Any, checkpoint: str) -> Figure:
    figure = Figure(figsize=(4.5, 3.2), layout="constrained", dpi=150)
    axes = figure.subplots()
    axes.plot(np.arange(1, len(values) + 1), np.where(values > 0, values, np.nan), color=COLOURS[0], linewidth=1.4)
    logarithmic(axes)
    axes.set_xlabel("rank of the eigenvalue")
    axes.set_ylabel("eigenvalue of G/N")
    axes.set_title(f"Empirical Fisher information, {checkpoint}", fontsize=9)
    return figure
