"""Loss and error on a grid around minima: w(α, β) = w + α d₁ + β d₂.

| symbol | meaning | shape |
| --- | --- | --- |
| w | the trainable weights of a minimum | [W] |
| d₁, d₂ | directions, see `directions` and `directions_hessian` | [W] |
| α, β | coordinates; with random directions a step of 1 changes each filter by its own length | |
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from infomcr_cli.console.parts import PartsProgress
from infomcr_cli.console.screen import say
from infomcr_cli.console.text import clock_time
from infomcr_cli.errors import InputError
from infomcr_cli.landscapes.directions import filter_axes, random_direction
from infomcr_cli.landscapes.directions_hessian import USUAL_PRODUCTS, Eigenvectors, top_eigenvectors
from infomcr_cli.landscapes.folder import ResultFolder
from infomcr_cli.landscapes.network import LandscapeNetwork
from infomcr_cli.landscapes.surface_values import ScorePoint, SurfaceValues
from infomcr_cli.models.score import Score

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Surface:
    """One surface that is to be computed.

    Args:
        label:   of the run, for messages.
        score:   of a point of the grid.
        samples: images that each score is taken of.
    """

    label: str
    score: ScorePoint
    samples: int


def around(network: LandscapeNetwork, directions: Sequence[Array], *, renew: bool) -> ScorePoint:
    """Return the score of a network as a function of the coordinates along one or two directions.

    The moving statistics of batch norm stay those of the checkpoint, or are renewed at each point.
    """
    first, second = (*directions, np.zeros(()))[:2]  # with one direction, the second is a zero that is broadcast

    def score(alpha: float, beta: float) -> Score:
        vector = network.minimum + alpha * first + beta * second
        return network.score(network.arrays(vector), renew=renew)

    return score


def random_directions(network: LandscapeNetwork, count: int, seed: int) -> list[Array]:
    """Return random directions of a network, normalised by filter, [W] each.

    Raises:
        InputError: the network has no filters.
    """
    weights = [np.asarray(network.weights[name], np.float64) for name in network.trainable]
    axes = filter_axes(network.model)
    found = [random_direction(weights, axes, seed=seed, index=index) for index in range(count)]
    if not all(np.any(direction) for direction in found):
        raise InputError("random directions need a network with filters that are not zero", received=network.run.name)
    return found


def filter_length(network: LandscapeNetwork) -> float:
    """Return the length of all filters together: that of a random direction."""
    axes = filter_axes(network.model)
    arrays = [network.weights[name] for name, own in zip(network.trainable, axes, strict=True) if own is not None]
    return float(np.sqrt(sum(np.sum(np.asarray(array, np.float64) ** 2) for array in arrays)))


def hessian_directions(
    network: LandscapeNetwork, count: int, seed: int, console: Console
) -> tuple[list[Array], Eigenvectors]:
    """Return the top eigenvectors of the Hessian, made as long as a random direction, and as they are.

    Raises:
        InputError: Lanczos did not converge, or the network has no filters.
    """
    surface = network.surface()
    each = seconds_of(lambda: surface.hessian_product(surface.weights))
    say(console, f"{network.run.name}: top eigenvectors, about {clock_time(each * USUAL_PRODUCTS)}")
    length = filter_length(network)
    if not length:
        raise InputError("directions need a network with filters that are not zero", received=network.run.name)
    vectors = top_eigenvectors(surface.hessian_product, surface.size, count=count, seed=seed)
    return [length * vectors.vectors[:, i] for i in range(count)], vectors


def seconds_of(work: Callable[[], object]) -> float:
    """Return the time of the second call of a function; the first one compiles."""
    work()
    began = time.monotonic()
    work()
    return time.monotonic() - began


def fill(
    surfaces: Sequence[Callable[[], Surface]],
    values: SurfaceValues,
    folder: ResultFolder,
    console: Console,
) -> None:
    """Compute all missing points, after printing an estimate of the time.

    Args:
        surfaces: each is made when its turn comes: its directions take memory.
        values:   of all surfaces; filled in place, and kept in the folder now and then and at the end.
    """
    total, done = values.done.size, int(values.done.sum())
    began = False
    try:
        with PartsProgress(console, "points", total, done).shown() as progress:
            for index, made in enumerate(surfaces):
                if values.done[index].all():
                    continue
                surface = made()
                if not began:
                    began = True
                    _forecast(surface, total - done, console)
                    progress.begin()
                for i, j in values.missing(index):
                    values.set(index, i, j, surface.score(float(values.first[i]), float(values.second[j])))
                    progress.part(surface.label)
                    folder.save(values.arrays(), now=False)
    finally:
        folder.save(values.arrays())


def _forecast(surface: Surface, points: int, console: Console) -> None:
    each = seconds_of(lambda: surface.score(0.0, 0.0))
    say(console, f"{points:,} points of {surface.samples:,} images: about {clock_time(each * points)}")
