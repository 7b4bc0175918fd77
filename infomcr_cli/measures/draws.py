"""The draws of gamma: which training images each one holds. They are disjoint, and the same for every network.

All that the draws depend on is the convention of a value; values of different conventions are never ranked together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.config.schema.measure import GammaConfig
from infomcr_cli.errors import InputError

Indices = NDArray[np.int64]
PERMUTATION_SEED = 0  # fixed, not a run's seed: runs are compared on the same images


def disjoint_draws(
    labels: NDArray[Any], *, stored_order: bool, samples: int, draw_size: int, draws: int
) -> list[Indices]:
    """Return at most `draws` disjoint draws of `draw_size` images from the first `samples` ones.

    Args:
        labels:       of all training images, [n].
        stored_order: whether the source gives the images an order; if not, a stratified permutation orders them.

    Raises:
        InputError: there are fewer images than one draw needs.
    """
    order = image_order(labels, stored_order)[:samples]
    possible = min(draws, len(order) // draw_size)
    if possible < 1:
        rule = "measure.gamma.draw_size must not exceed the number of training images that draws come from"
        raise InputError(rule, received=f"{draw_size}, of {len(order)} images")
    return [order[start : start + draw_size] for start in range(0, possible * draw_size, draw_size)]


def image_order(labels: NDArray[Any], stored_order: bool) -> Indices:
    """Return the order in which training images are measured: their own, or a fixed stratified permutation."""
    return np.arange(len(labels)) if stored_order else stratified_permutation(labels)


def stratified_permutation(labels: NDArray[Any], seed: int = PERMUTATION_SEED) -> Indices:
    """Return a permutation in which every stretch has the classes in nearly the proportions of the whole set.

    Image j of the n_c of a class, in random order, goes to the place (j + u)/n_c, u uniform in [0, 1).
    """
    generator = np.random.default_rng(seed)
    places = np.empty(len(labels))
    for name in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == name))
        places[members] = (np.arange(len(members)) + generator.random(len(members))) / len(members)
    return np.argsort(places, kind="stable")


def convention_of_draws(gamma: GammaConfig, n_train: int, order: str | None) -> dict[str, Any]:
    """Return what gamma and all measures of the Gram matrix depend on, for JSON.

    Args:
        gamma:   settings.
        n_train: number of training images, an upper bound of the samples.
        order:   `stored` or `stratified`, how the images are ordered; None if not known: it is left out.
    """
    samples = min(gamma.samples, n_train)
    found = {
        "samples": samples,
        "draws": min(gamma.draws, samples // gamma.draw_size),  # the most, if `target_se` stops earlier
        "draw_size": gamma.draw_size,
        "batch_norm": gamma.batch_norm,
        "chunk_size": gamma.chunk_size if gamma.batch_norm == "batch" else None,  # changes nothing in inference mode
        "logit_scale": gamma.logit_scale,
        "order": order,
        "precision": gamma.precision,
        "target_se": gamma.target_se,
    }
    return found if order is not None else {name: value for name, value in found.items() if name != "order"}
