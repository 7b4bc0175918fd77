"""The trace of the Fisher information proper, with labels drawn from the network: y ~ p(y|x)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.config.schema.measure import MeasureConfig
from infomcr_cli.measures.base import IMAGES, register_measure
from infomcr_cli.measures.value import MeasureValue, standard_error
from infomcr_cli.measures.work import Work

if TYPE_CHECKING:
    from infomcr_cli.measures.context import MeasureContext

Array = NDArray[np.float64]
FEW_CLASSES = 10  # up to so many, all labels are tried; of more, so many are drawn for each sample


def squared_lengths(ctx: MeasureContext, labels: NDArray[np.int32]) -> Array:
    """Return ‖∇ℓ(x_i, y_i)‖² of each sample at these labels, [N], with raw logits and batch norm in inference mode."""
    from infomcr_cli.measures.gram.engine import plain_engine_for
    from infomcr_cli.measures.samples import take

    settings, surface = ctx.config.gamma, ctx.surface
    engine, order = plain_engine_for(ctx.model, settings), np.arange(len(labels))
    parts = [order[start : start + settings.draw_size] for start in range(0, len(order), settings.draw_size)]
    logs = [engine(take(surface.images, part), labels[part]).log_lengths for part in parts]
    return np.exp(2 * np.concatenate(logs))


def exact(ctx: MeasureContext, probabilities: Array) -> MeasureValue:
    """Return mean_i Σ_y p_iy ‖∇ℓ(x_i, y)‖², from the gradient at every label."""
    count, classes = probabilities.shape
    total = sum(
        np.sum(probabilities[:, label] * squared_lengths(ctx, np.full(count, label, np.int32)))
        for label in range(classes)
    )
    return MeasureValue(float(total) / count, extras={"labels": "all"})


def sampled(ctx: MeasureContext, probabilities: Array) -> MeasureValue:
    """Return the mean over labels that are drawn from the network, with its standard error over the draws of labels."""
    generator = np.random.default_rng(ctx.seed)
    cumulative = np.cumsum(probabilities, axis=1)  # [N, C]
    means = []
    for _ in range(FEW_CLASSES):
        # [N, 1], as shares of the last sum: rounding leaves it above or below 1.
        places = generator.random((len(cumulative), 1)) * cumulative[:, -1:]
        labels = np.sum(places >= cumulative, axis=1).astype(np.int32)  # the class in whose stretch a place lies
        means.append(squared_lengths(ctx, labels).mean())
    found = np.array(means)
    return MeasureValue(float(found.mean()), standard_error(found), {"labels": FEW_CLASSES}, estimates=len(found))


def fisher_passes(config: MeasureConfig) -> Work:
    """Return the work of the gradients at ten labels of each sample."""
    return Work(rows=config.samples * FEW_CLASSES)


@register_measure(
    name="true_fisher_trace",
    formula="mean_i Σ_y p(y|x_i) ‖∇ℓ(x_i, y)‖²; of more than 10 classes, 10 drawn labels y ~ p(y|x_i)",
    source="Jastrzebski et al., ICML 2021, arXiv:2012.14193; Kunstner et al., NeurIPS 2019, arXiv:1905.12558",
    family="curvature",
    unit="nats²",
    direction="lower",
    cost="the gradient of each sample at up to 10 labels",
    passes=fisher_passes,
    needs=(IMAGES,),
    settings=("samples", "gamma.precision"),
)
def true_fisher_trace(ctx: MeasureContext) -> MeasureValue:
    """Return the trace, exact for up to ten classes; `labels` says how it was found."""
    from scipy.special import softmax

    probabilities = softmax(ctx.surface.clean_logits, axis=1)
    few = probabilities.shape[1] <= FEW_CLASSES
    return exact(ctx, probabilities) if few else sampled(ctx, probabilities)
