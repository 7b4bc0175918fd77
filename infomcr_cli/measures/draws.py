"""The draws of gamma: which training images each one holds. They are disjoint, and the same for every network."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

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
