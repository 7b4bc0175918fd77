"""Cross-entropy on the training set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.errors import InputError
from infomcr_cli.measures.library.common import IMAGES, JIANG, Found, register_rival

if TYPE_CHECKING:
    from infomcr_cli.measures.context import Minimum


@register_rival(
    name="train_loss",
    formula="L(w) on the whole training set, without augmentation",
    source=JIANG,
    unit="nats",
    direction="lower",
    cost="none beside the scores of the evaluation",
    needs=(IMAGES,),
    suite="fast",
)
def train_loss(at: Minimum) -> Found:
    """Return the loss that the evaluation found.

    Raises:
        InputError: it was not given.
    """
    if at.train_loss is None:
        raise InputError("the training loss is taken by the evaluation of a run")
    return Found(at.train_loss)


Array = NDArray[np.float64]


def margins(logits: Array, labels: NDArray[np.int32]) -> Array:
    """Return z_y - max_{k≠y} z_k of each sample, [N]; negative where the sample is misclassified.

    Args:
        logits: [N, C].
        labels: true classes, [N].
    """
    rows = np.arange(len(labels))
    rivals = logits.copy()
    rivals[rows, labels] = -np.inf
    return logits[rows, labels] - rivals.max(axis=1)


def tenth_percentile_margin(logits: Array, labels: NDArray[np.int32]) -> float:
    """Return the 10th percentile of the margins, in units of logits.

    Source:  Jiang et al., 2020, arXiv:1912.02178 (a robust stand-in for the smallest margin).
    Example: of margins 0, 1, ..., 10 it is 1.
    """
    return float(np.percentile(margins(logits, labels), 10))


@register_rival(
    name="margin",
    formula="10th percentile of z_y − max_{k≠y} z_k",
    source=JIANG,
    unit="logits",
    direction="higher",
    cost="one forward pass over the samples",
    needs=(IMAGES,),
    settings=("samples",),
    suite="fast",
)
def margin(at: Minimum) -> Found:
    """Return the 10th percentile over the samples."""
    return Found(at.margin)


@register_rival(
    name="parameter_count",
    formula="W",
    source=JIANG,
    unit="weights",
    direction="lower",
    cost="none",
    suite="fast",
)
def parameter_count(at: Minimum) -> Found:
    """Return W."""
    return Found(float(at.surface.size))


def weight_distance(weights: Mapping[str, Any], initial: Mapping[str, Any]) -> float:
    """Return ‖w - w₀‖₂ over the weights named in `weights`.

    Args:
        weights,
        initial: arrays by name; `initial` may hold others as well.

    Source:  Nagarajan & Kolter, 2019, arXiv:1901.01672; Jiang et al., 2020, arXiv:1912.02178.
    Example: weight_distance({"w": np.ones(4)}, {"w": np.zeros(4)}) is 2.0.
    """
    differences = (np.asarray(weights[name], np.float64) - np.asarray(initial[name], np.float64) for name in weights)
    return float(np.sqrt(sum(float(np.sum(d**2)) for d in differences)))


distance = weight_distance


@register_rival(
    name="distance_from_initialization",
    formula="‖w − w₀‖₂, w₀ made anew from the seed",
    source="Nagarajan & Kolter, 2019, arXiv:1901.01672",
    unit="weights",
    direction="lower",
    cost="building the network once more",
    needs=("the run's seed",),
    suite="fast",
)
def distance_from_initialization(at: Minimum) -> Found:
    """Return the distance over all trainable weights.

    Raises:
        InputError: the run began with the weights of another.
    """
    if at.initial is None:
        raise InputError("the distance from initialization needs a run that began with its own random weights")
    return Found(distance(at.trainable, at.initial))
