"""Compute a landscape around the minimum of each run, or on the plane through three minima."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from infomcr_cli.landscapes.folder import ResultFolder
from infomcr_cli.landscapes.landscape_document import finite, minimum_document, surface_document
from infomcr_cli.landscapes.minima import Minimum
from infomcr_cli.landscapes.network import LandscapeNetwork, open_network
from infomcr_cli.landscapes.settings import LandscapeSettings
from infomcr_cli.landscapes.surface import Surface, around, fill, hessian_directions, random_directions
from infomcr_cli.landscapes.surface_plane import Plane, axes, mixed, plane_through
from infomcr_cli.landscapes.surface_values import ScorePoint, SurfaceValues
from infomcr_cli.models.score import Score
from infomcr_cli.runs import list_checkpoints, load_checkpoint

Array = NDArray[np.float64]
Document = dict[str, Any]


def compute_landscape(
    settings: LandscapeSettings, minima: Sequence[Minimum], folder: ResultFolder, console: Console
) -> Document:
    """Compute the missing points of a landscape and return its document.

    Raises:
        InputError: a network or its data cannot be used, or has no such directions.
    """
    compute = _plane if settings.kind == "plane" else _around
    return compute(settings, minima, folder, console)


def _around(settings: LandscapeSettings, minima: Sequence[Minimum], folder: ResultFolder, console: Console) -> Document:
    """Compute a surface of each run along directions of its own."""
    radius = settings.radius or 0.0
    line = np.linspace(-radius, radius, settings.points)
    others = {
        "own": np.full((len(minima), 2), np.nan),  # loss and error
        "images": np.zeros(len(minima)),
        "has_batch_norm": np.zeros(len(minima), bool),
        "eigenvalues": np.full((len(minima), settings.dimensions), np.nan),
        "residuals": np.full((len(minima), settings.dimensions), np.nan),
    }
    second = line if settings.dimensions == 2 else np.zeros(1)
    values = SurfaceValues.empty(line, second, len(minima), others).resumed(folder)
    surfaces = [
        partial(_surface_around, settings, one, index, values, folder, console) for index, one in enumerate(minima)
    ]
    fill(surfaces, values, folder, console)
    return {
        "samples": int(values.others["images"].max()),
        "has_batch_norm": bool(values.others["has_batch_norm"].any()),
        "axes": {"first": line.tolist(), "second": values.second.tolist() if settings.dimensions == 2 else None},
        "runs": [
            {
                **minimum_document(one, values.others["own"][index]),
                **_eigenvalues(values, index),
                "surface": surface_document(values, index, settings.dimensions),
            }
            for index, one in enumerate(minima)
        ],
    }


def _surface_around(
    settings: LandscapeSettings,
    minimum: Minimum,
    index: int,
    values: SurfaceValues,
    folder: ResultFolder,
    console: Console,
) -> Surface:
    network = open_network(minimum.run, minimum.config, minimum.checkpoint, settings.samples)
    renew = _is_renewed(settings, network)
    values.others["own"][index] = _numbers(network.score(network.weights))
    values.others["images"][index] = len(network.samples)
    values.others["has_batch_norm"][index] = network.batch_statistics.is_needed
    if settings.kind == "random":
        directions = random_directions(network, settings.dimensions, settings.seed)
    else:
        directions = _eigenvectors(settings, network, index, values, folder, console)
    return Surface(minimum.label, around(network, directions, renew=renew), len(network.samples))


def _eigenvectors(
    settings: LandscapeSettings,
    network: LandscapeNetwork,
    index: int,
    values: SurfaceValues,
    folder: ResultFolder,
    console: Console,
) -> list[Array]:
    """Return the top eigenvectors, those of a command that was stopped if there was one."""
    name = f"eigenvectors-{index}"
    kept = folder.kept(name)
    if kept is None:
        directions, found = hessian_directions(network, settings.dimensions, settings.seed, console)
        kept = {"directions": np.stack(directions), "values": found.values, "residuals": found.residuals}
        folder.keep(name, kept)
    values.others["eigenvalues"][index] = kept["values"]
    values.others["residuals"][index] = kept["residuals"]
    return list(kept["directions"])


def _plane(settings: LandscapeSettings, minima: Sequence[Minimum], folder: ResultFolder, console: Console) -> Document:
    """Compute the surface on the plane through three minima, and project the checkpoints of their runs."""
    first = minima[0]
    network = open_network(first.run, first.config, first.checkpoint, settings.samples)
    plane = plane_through(*(network.flat(one.checkpoint.weights) for one in minima))
    paths = _paths(network, plane, minima)
    shown = [plane.corners, *(np.array([(p["x"], p["y"]) for p in path]) for path in paths.values() if path)]
    others = {"own": np.full((3, 2), np.nan), "in_plane": np.full((3, 2), np.nan)}
    values = SurfaceValues.empty(*axes(np.concatenate(shown), settings.points), 1, others).resumed(folder)
    renew = _is_renewed(settings, network)
    score = _on_plane(network, plane, minima, renew=renew)

    # `fill` calls it only if points are missing: a complete surface costs no passes.
    def surface() -> Surface:
        for index, one in enumerate(minima):
            values.others["own"][index] = _numbers(network.score(one.checkpoint.weights))
            values.others["in_plane"][index] = _numbers(score(*plane.corners[index]))
        return Surface("plane", score, len(network.samples))

    fill([surface], values, folder, console)
    runs = []
    for index, one in enumerate(minima):
        x, y = plane.corners[index]
        in_plane = dict(zip(("loss", "error"), finite(values.others["in_plane"][index]), strict=True))
        document = minimum_document(one, values.others["own"][index])
        runs.append({**document, "x": float(x), "y": float(y), "in_plane": in_plane})
    return {
        "samples": len(network.samples),
        "has_batch_norm": network.batch_statistics.is_needed,
        "axes": {"first": values.first.tolist(), "second": values.second.tolist()},
        "unit": float(np.linalg.norm(plane.first)),
        "runs": runs,
        "paths": paths,
        "surface": surface_document(values, 0, 2),
    }


def _on_plane(network: LandscapeNetwork, plane: Plane, minima: Sequence[Minimum], *, renew: bool) -> ScorePoint:
    """Return the score as a function of the coordinates; statistics are mixed as the weights are, or renewed."""
    arrays = [one.checkpoint.weights for one in minima]
    rest = [name for name in network.weights if name not in network.trainable]

    def score(x: float, y: float) -> Score:
        statistics = mixed(arrays, plane.shares(x, y), rest)
        return network.score(network.arrays(plane.point(x, y), statistics), renew=renew)

    return score


def _paths(network: LandscapeNetwork, plane: Plane, minima: Sequence[Minimum]) -> dict[str, list[Document]]:
    """Return the checkpoints of each run in the order of training, with their place in the plane."""
    runs = {str(one.run.path): one.run for one in minima}
    found: dict[str, list[Document]] = {}
    for path, run in runs.items():
        found[path] = []
        for info in list_checkpoints(run):
            x, y, distance = plane.project(network.flat(load_checkpoint(run, info.name).weights))
            place = {"checkpoint": info.name, "step": info.step, "epoch": info.epoch}
            found[path].append({**place, "x": x, "y": y, "distance": distance})
    return found


def _is_renewed(settings: LandscapeSettings, network: LandscapeNetwork) -> bool:
    """Return whether statistics are renewed: a network without batch norm has none."""
    return settings.batch_statistics == "renew" and network.batch_statistics.is_needed


def _numbers(score: Score) -> tuple[float, float]:
    return (score.loss if score.is_finite else np.nan), 1.0 - score.accuracy


def _eigenvalues(values: SurfaceValues, index: int) -> Document:
    found = values.others["eigenvalues"][index]
    if not np.isfinite(found).all():
        return {}
    return {"eigenvalues": found.tolist(), "residuals": values.others["residuals"][index].tolist()}
