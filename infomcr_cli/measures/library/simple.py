"""Cheap measures: training loss, margin, number of weights, distance from initialization."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.errors import InputError
from infomcr_cli.measures.base import IMAGES, INITIAL, register_measure
from infomcr_cli.measures.families import EVERY_CHANGE, SAME_FUNCTION
from infomcr_cli.measures.initial import initial_vector
from infomcr_cli.measures.library import JIANG
from infomcr_cli.measures.value import MeasureValue
from infomcr_cli.measures.work import no_passes

if TYPE_CHECKING:
    from infomcr_cli.measures.context import MeasureContext

Array = NDArray[np.float64]


@register_measure(
    name="train_loss",
    formula="L(w) on the whole training set, without augmentation",
    source=JIANG,
    family="confidence",
    invariance=SAME_FUNCTION,
    unit="nats",
    direction="lower",
    cost="none, part of the evaluation",
    passes=no_passes,
    needs=(IMAGES,),
    suite="fast",
)
def train_loss(ctx: MeasureContext) -> MeasureValue:
    """Return the loss that the evaluation of the run has computed.

    Raises:
        InputError: it is not known.
    """
    if ctx.train_loss is None:
        raise InputError("train_loss needs the training loss that the evaluation of a run computes")
    return MeasureValue(ctx.train_loss)


def margins(logits: Array, labels: NDArray[np.int32]) -> Array:
    """Return z_y - max_{k≠y} z_k of each sample, [N]; negative if the sample is misclassified.

    Args:
        logits: [N, C].
        labels: true classes, [N].
    """
    rows = np.arange(len(labels))
    others = logits.copy()
    others[rows, labels] = -np.inf  # so that the maximum is over k ≠ y
    return logits[rows, labels] - others.max(axis=1)


def tenth_percentile_margin(logits: Array, labels: NDArray[np.int32]) -> float:
    """Return the 10th percentile of the margins, in units of logits.

    Source:
        Jiang et al., 2020, arXiv:1912.02178 (a robust replacement of the smallest margin).
    """
    return float(np.percentile(margins(logits, labels), 10))


def clean_margin(ctx: MeasureContext) -> float:
    """Return the 10th percentile of the margins of the network as it is, which several measures share."""
    return tenth_percentile_margin(ctx.surface.clean_logits, ctx.surface.labels)


def positive_margin(ctx: MeasureContext) -> float:
    """Return `clean_margin`.

    Raises:
        InputError: it is not positive: one image in ten or more is misclassified.
    """
    found = ctx.once(clean_margin)
    if not found > 0:
        raise InputError("the margin must be positive", received=f"{found:.6g}")
    return found


@register_measure(
    name="margin",
    formula="10th percentile of z_y − max_{k≠y} z_k",
    source=JIANG,
    family="margin",
    invariance=SAME_FUNCTION,
    unit="logits",
    direction="higher",
    cost="one forward pass over the samples",
    passes=no_passes,
    needs=(IMAGES,),
    settings=("samples",),
    suite="fast",
)
def margin(ctx: MeasureContext) -> MeasureValue:
    """Return the 10th percentile over the samples."""
    return MeasureValue(ctx.once(clean_margin))


@register_measure(
    name="inverse_margin_squared",
    formula="1/γ², γ the 10th percentile of z_y − max_{k≠y} z_k",
    source=f"{JIANG}, equation 22",
    family="margin",
    invariance=SAME_FUNCTION,
    unit="logits⁻²",
    direction="lower",
    cost="one forward pass over the samples, shared with margin",
    passes=no_passes,
    needs=(IMAGES, "a margin that is positive"),
    settings=("samples",),
)
def inverse_margin_squared(ctx: MeasureContext) -> MeasureValue:
    """Return 1/γ²; Dziugaite et al. take √(1/(γ² m)) for m training images."""
    return MeasureValue(float(np.exp(-2 * np.log(positive_margin(ctx)))))


@register_measure(
    name="parameter_count",
    formula="W",
    source=JIANG,
    family="information",
    invariance=EVERY_CHANGE,
    unit="weights",
    direction="lower",
    cost="none",
    passes=no_passes,
    suite="fast",
)
def parameter_count(ctx: MeasureContext) -> MeasureValue:
    """Return W."""
    return MeasureValue(float(ctx.surface.size))


@register_measure(
    name="distance_from_initialization",
    formula="‖w − w₀‖₂, w₀ rebuilt from the seed",
    source="Nagarajan & Kolter, 2019, arXiv:1901.01672",
    family="norm",
    unit="weights",
    direction="lower",
    cost="building the network again",
    passes=no_passes,
    needs=(INITIAL,),
    suite="fast",
)
def distance_from_initialization(ctx: MeasureContext) -> MeasureValue:
    """Return the distance over all trainable weights.

    Raises:
        InputError: the run started from the weights of another run.
    """
    return MeasureValue(float(np.linalg.norm(ctx.surface.weights - initial_vector(ctx))))
