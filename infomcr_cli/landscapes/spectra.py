"""Compute spectral densities of runs, probe by probe, and their document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray
from rich.console import Console

from infomcr_cli.console.parts import PartsProgress
from infomcr_cli.console.screen import say
from infomcr_cli.console.text import clock_time
from infomcr_cli.errors import InputError
from infomcr_cli.landscapes.density import (
    Quadrature,
    lanczos_quadrature,
    moment,
    probe,
    smoothed,
    width_of,
)
from infomcr_cli.landscapes.density_operators import operator
from infomcr_cli.landscapes.folder import ResultFolder
from infomcr_cli.landscapes.landscape_document import finite
from infomcr_cli.landscapes.minima import Minimum
from infomcr_cli.landscapes.network import open_network
from infomcr_cli.landscapes.settings import SpectrumSettings
from infomcr_cli.landscapes.surface import seconds_of

Array = NDArray[np.float64]
Document = dict[str, Any]


@dataclass
class SpectrumValues:
    """Nodes and weights of all probes.

    Args:
        nodes:   [runs, probes, steps].
        weights: the same; what a probe has no node for is NaN in both.
        size:    of each operator, [runs]; 0 where it is not known yet.
        samples: images of each run, [runs].
    """

    nodes: Array
    weights: Array
    size: Array
    samples: Array

    @staticmethod
    def resumed(folder: ResultFolder, runs: int, probes: int, steps: int) -> SpectrumValues:
        """Return the values that a folder kept, or values of which none is computed."""
        empty = np.full((runs, probes, steps), np.nan)
        start = SpectrumValues(empty, empty.copy(), np.zeros(runs), np.zeros(runs))
        return SpectrumValues(**folder.resume(start.arrays()))

    def arrays(self) -> dict[str, Array]:
        """Return all arrays by the names that they have in `values.npz`."""
        return dict(vars(self))

    @property
    def done(self) -> NDArray[np.bool_]:
        """Which probes are computed, [runs, probes]."""
        return np.isfinite(self.nodes[..., 0])

    def set(self, run: int, index: int, found: Quadrature) -> None:
        """Keep the quadrature of a probe."""
        self.nodes[run, index, : len(found.nodes)] = found.nodes
        self.weights[run, index, : len(found.nodes)] = found.weights

    def quadratures(self, run: int) -> list[Quadrature]:
        """Return the quadratures of a run."""
        known = np.isfinite(self.nodes[run])
        return [Quadrature(n[k], w[k]) for n, w, k in zip(self.nodes[run], self.weights[run], known, strict=True)]


def compute_spectra(
    settings: SpectrumSettings, minima: Sequence[Minimum], folder: ResultFolder, console: Console
) -> Document:
    """Compute the missing probes and return the document.

    Raises:
        InputError: a network or its data cannot be used.
    """
    values = SpectrumValues.resumed(folder, len(minima), settings.probes, settings.steps)
    total, done = values.done.size, int(values.done.sum())
    with PartsProgress(console, "probes", total, done).shown() as progress:
        for index, minimum in enumerate(minima):
            if not values.done[index].all():
                _compute_run(settings, minimum, index, values, folder, progress)
    every = [one for index in range(len(minima)) for one in values.quadratures(index)]
    width = width_of(every, settings.width)
    bulk = max(width, width_of(every))  # however narrow the Gaussians are
    documents = [
        _run_document(one, values.quadratures(index), int(values.size[index]), width)
        | {"negative_share": negative_share(values.quadratures(index), bulk)}
        for index, one in enumerate(minima)
    ]
    return {"samples": int(values.samples.max()), "width": width, "negative_below": -bulk, "runs": documents}


def _compute_run(
    settings: SpectrumSettings,
    minimum: Minimum,
    index: int,
    values: SpectrumValues,
    folder: ResultFolder,
    progress: PartsProgress,
) -> None:
    """Compute the probes of one run, after printing an estimate of the time."""
    network = open_network(minimum.run, minimum.config, minimum.checkpoint, settings.samples)
    product, size = operator(network.surface(), settings.operator)
    values.size[index], values.samples[index] = size, len(network.samples)
    left, steps = int((~values.done[index]).sum()), min(settings.steps, size)
    _check_memory(steps, size)
    each = seconds_of(lambda: product(probe(size, settings.seed, 0)))
    what = f"{left} × {steps} products with vectors over {len(network.samples):,} images"
    say(progress.console, f"{minimum.label}: {what}: about {clock_time(each * steps * left)}")
    progress.begin()
    for number in np.flatnonzero(~values.done[index]):
        start = probe(size, settings.seed, int(number))
        values.set(index, int(number), lanczos_quadrature(product, start, settings.steps))
        folder.save(values.arrays())
        progress.part(minimum.label)


def _check_memory(steps: int, size: int) -> None:
    """Raise InputError if the Lanczos vectors do not fit into memory; full reorthogonalisation needs all of them."""
    each, free = 8 * size, psutil.virtual_memory().available
    if steps * each > free:
        rule = f"--steps must leave room for its vectors of {each:,} bytes; {free:,} are free"
        raise InputError(rule, received=steps, advice=f"Try --steps {free // each // 2}.")


def _run_document(minimum: Minimum, quadratures: list[Quadrature], size: int, width: float) -> Document:
    density = smoothed(quadratures, width)
    error = finite(density.std_error) if np.isfinite(density.std_error).all() else None
    where = {"run": str(minimum.run.path), "name": minimum.label, "checkpoint": minimum.name}
    checkpoint = minimum.checkpoint
    return {
        **where,
        "step": checkpoint.step,
        "epoch": checkpoint.epoch,
        "size": size,
        "largest": max(float(one.nodes.max()) for one in quadratures),
        "smallest": min(float(one.nodes.min()) for one in quadratures),
        "trace": _estimate(quadratures, 1, size),
        "trace_of_square": _estimate(quadratures, 2, size),
        "density": {"grid": density.grid.tolist(), "value": density.value.tolist(), "std_error": error},
        "probes": [{"nodes": one.nodes.tolist(), "weights": one.weights.tolist()} for one in quadratures],
    }


def _estimate(quadratures: list[Quadrature], power: int, size: int) -> Document:
    value, error = moment(quadratures, power, size)
    return {"value": value, "std_error": error if np.isfinite(error) else None}


def negative_share(quadratures: list[Quadrature], bulk: float) -> float:
    """Return the share of eigenvalues below −`bulk`.

    Nearer to zero one node stands for the whole bulk of eigenvalues at zero, and its sign says nothing.
    """
    return float(np.mean([one.weights[one.nodes < -bulk].sum() for one in quadratures]))
