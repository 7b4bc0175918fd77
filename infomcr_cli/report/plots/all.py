"""All plots of a comparison, and their files."""

from __future__ import annotations

import multiprocessing
import signal
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

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
from infomcr_cli.signals import stopping_signals

_Draw = Callable[[Comparison], Figure | None]
_Describe = Callable[[Comparison], str]


class _Picture(NamedTuple):
    """How a plot is drawn, and described to someone who cannot see it; `draw` returns None if numbers are missing."""

    name: str
    title: str
    draw: _Draw
    describe: _Describe


_FIRST = (
    _Picture("training", "Training curves", training_curves, alt_text.training_curves),
    _Picture("gamma-gap", "Gamma against the gap", gamma_against_gap, alt_text.gamma_against_gap),
)
_LAST = (
    _Picture(
        "psi", "ψ by axis: rank correlation among minima that differ in one setting", psi_by_axis, alt_text.psi_by_axis
    ),
    _Picture("correlations", "Rank correlation between the measures", between_measures, alt_text.between_measures),
    _Picture("gamma", "Gamma along training", gamma_along_training, alt_text.gamma_along_training),
    _Picture("spectra", "Spectra of the Gram matrix", spectra, alt_text.spectra),
)


def all_plots(comparison: Comparison, *, png: bool = True, two_processes: bool = False) -> tuple[Plot, ...]:
    """Draw every plot for which the runs have the numbers, in the order in which a reader wants them.

    Args:
        png:           draw PNG beside SVG.
        two_processes: let a forked process draw every other one. No thread of this process may hold a lock.
    """
    pictures = (*_FIRST, *_measures(comparison), *_LAST)
    with plot_style():
        drawn = (_half_elsewhere if two_processes else _drawn)(comparison, pictures, png)
    return tuple(plot for plot in drawn if plot is not None)


def _drawn(comparison: Comparison, pictures: Sequence[_Picture], png: bool) -> list[Plot | None]:
    figures = ((one, one.draw(comparison)) for one in pictures)
    return [
        None if figure is None else render(one.name, one.title, figure, one.describe(comparison), png=png)
        for one, figure in figures
    ]


def _half_elsewhere(comparison: Comparison, pictures: Sequence[_Picture], png: bool) -> list[Plot | None]:
    """Draw every other picture here, and the others in a process that ends when it has sent them."""
    fork = multiprocessing.get_context("fork")  # a forked child has the imports and the comparison already
    receiver, sender = fork.Pipe(duplex=False)
    child = fork.Process(target=_send, args=(sender, comparison, pictures[1::2], png), daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # about threads: those of NumPy's products, which are idle
        child.start()
    sender.close()  # while this process holds it open, recv waits for a child that has died
    drawn: list[Plot | None] = [None] * len(pictures)
    drawn[0::2] = _drawn(comparison, pictures[0::2], png)
    try:
        drawn[1::2] = receiver.recv()
    except EOFError:  # the process failed: the same error is raised here
        drawn[1::2] = _drawn(comparison, pictures[1::2], png)
    child.join()
    return drawn


def _send(sender: Connection, *arguments: Any) -> None:
    for number in stopping_signals():  # a signal ends this process silently: the command reports what was stopped
        signal.signal(number, signal.SIG_DFL)
    with suppress(Exception), sender:
        sender.send(_drawn(*arguments))


def _measures(comparison: Comparison) -> list[_Picture]:
    """Return the pictures of all measures but gamma: measures, measures-2 and so on."""
    names = varying_measures(comparison)
    parts = pictures_of(names)
    count = sum(map(len, parts))
    notes = [f"The first {count} of {len(names)} measures."] if count < len(names) else []
    return [
        _Picture(
            "measures" if number == 1 else f"measures-{number}",
            "Each other measure against the gap" + (f", {number} of {len(parts)}" if len(parts) > 1 else ""),
            partial(measures_against_gap, names=part, notes=notes),
            partial(alt_text.measures_against_gap, names=part),
        )
        for number, part in enumerate(parts, start=1)
    ]


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
