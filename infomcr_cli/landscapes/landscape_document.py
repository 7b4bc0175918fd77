"""The JSON document of a landscape, and its pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.landscapes.minima import Minimum
from infomcr_cli.landscapes.surface_pictures import Drawing, DrawnSurface
from infomcr_cli.landscapes.surface_values import SurfaceValues

Array = NDArray[np.float64]
Document = dict[str, Any]
AXES = {"random": "random direction {}", "hessian": "eigenvector {}"}


def minimum_document(minimum: Minimum, own: Array) -> Document:
    """Return the description of a minimum, with its loss under its own statistics.

    Args:
        own: loss, nats, and error, 0..1.
    """
    checkpoint = minimum.checkpoint
    where = {"run": str(minimum.run.path), "name": minimum.label, "checkpoint": minimum.name}
    numbers = dict(zip(("loss", "error"), finite(own), strict=True))
    return {**where, "step": checkpoint.step, "epoch": checkpoint.epoch, **numbers}


def surface_document(values: SurfaceValues, index: int, dimensions: int) -> Document:
    """Return losses and errors of a surface, [p][q], or [p] for a curve; null if a loss is not finite."""
    found = {"loss": values.loss[index], "error": values.error[index]}
    return {name: finite(array if dimensions == 2 else array[:, 0]) for name, array in found.items()}


def finite(array: Array) -> Any:
    """Return an array as nested lists, with None for what is not finite."""
    found = np.asarray(array, np.float64).astype(object)
    found[~np.isfinite(array)] = None
    return found.tolist()


def drawing_of(document: Mapping[str, Any]) -> Drawing:
    """Return the data of the plots of a landscape."""
    first, second = document["axes"]["first"], document["axes"]["second"] or [0.0]
    if document["kind"] == "plane":
        surfaces, names = [_drawn_plane(document)], ("distance along B − A", "distance across")
    else:
        surfaces = [_drawn(run, run["surface"], len(second)) for run in document["runs"]]
        names = (AXES[document["kind"]].format(1), AXES[document["kind"]].format(2))
    where = {"plane": "on the plane through three minima", "random": "along random directions"}
    title = f"Training loss {where.get(document['kind'], 'along the top eigenvectors of the Hessian')}"
    return Drawing(surfaces, np.array(first), np.array(second), names, title, _notes(document))


def _drawn(run: Mapping[str, Any], surface: Mapping[str, Any], columns: int) -> DrawnSurface:
    values = "; λ = " + ", ".join(f"{value:.3g}" for value in run["eigenvalues"]) if "eigenvalues" in run else ""
    loss, error = (np.array(surface[name], np.float64).reshape(-1, columns) for name in ("loss", "error"))
    return DrawnSurface(run["name"] + values, loss, error)


def _drawn_plane(document: Mapping[str, Any]) -> DrawnSurface:
    surface, runs = document["surface"], document["runs"]
    minima = [
        (f"{letter}: {run['name']}", np.array([run["x"], run["y"]])) for letter, run in zip("ABC", runs, strict=True)
    ]
    paths = [
        (path, np.array([(point["x"], point["y"]) for point in points]))  # [n, 2]
        for path, points in document["paths"].items()
        if points
    ]
    loss, error = (np.array(surface[name], np.float64) for name in ("loss", "error"))
    return DrawnSurface("plane through A, B and C", loss, error, minima, paths)


def _notes(document: Mapping[str, Any]) -> list[str]:
    renewed = {"keep": "kept", "renew": "renewed"}[document["batch_statistics"]]
    statistics = f", statistics of batch norm {renewed}" if document["has_batch_norm"] else ""
    lines = [f"{document['samples']:,} training images{statistics}."]
    surfaces = [document["surface"]] if "surface" in document else [run["surface"] for run in document["runs"]]
    if any(np.isnan(np.array(one["loss"], np.float64)).any() for one in surfaces):
        lines.append("Grey or a gap: the loss is not finite.")
    return lines
