"""Measures of the training history: its speed, and the gradients early and at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from infomcr_cli.config.schema.measure import MeasureConfig
from infomcr_cli.errors import InputError
from infomcr_cli.measures.base import HISTORY, IMAGES, register_measure
from infomcr_cli.measures.draws import disjoint_draws
from infomcr_cli.measures.families import EVERY_CHANGE
from infomcr_cli.measures.history import RunHistory
from infomcr_cli.measures.library import JIANG
from infomcr_cli.measures.value import MeasureValue, mean_over_draws
from infomcr_cli.measures.work import Work, compiled_gradient, gradient_passes, no_passes

if TYPE_CHECKING:
    from infomcr_cli.measures.context import MeasureContext

LOSS, CLEAN_LOSS = "train/loss", "clean_train/loss"  # names in metrics.jsonl


def history_of(ctx: MeasureContext) -> RunHistory:
    """Return the history of the run.

    Raises:
        InputError: the network has none.
    """
    if ctx.history is None:
        raise InputError("measures of the training need a run of `infomcr train`")
    return ctx.history


@register_measure(
    name="steps_to_target",
    formula="training steps at the first epoch's end with L(w) ≤ schedule.stop_at_train_loss",
    source=f"{JIANG} (optimization)",
    family="optimization",
    invariance=EVERY_CHANGE,
    unit="steps",
    direction="lower",
    cost="none",
    passes=no_passes,
    needs=(HISTORY, "a target loss"),
)
def steps_to_target(ctx: MeasureContext) -> MeasureValue:
    """Return the steps, counted at ends of epochs, where the loss on the training set is evaluated.

    Runs with different targets are not on one scale; `extras` hold the target.

    Raises:
        InputError: the run had no target, or did not reach it by this checkpoint.
    """
    history = history_of(ctx)
    target = history.target
    if target is None:
        raise InputError("steps_to_target needs a run with schedule.stop_at_train_loss", received="null")
    losses = [(line.step, line.values[CLEAN_LOSS]) for line in history.lines() if CLEAN_LOSS in line.values]
    reached = [step for step, loss in losses if loss <= target]
    if not reached:
        raise InputError(f"the training loss must reach its target {target:g} by this checkpoint", received="no")
    return MeasureValue(float(reached[0]), extras={"target": target})


@register_measure(
    name="sum_of_train_losses",
    formula="Σ over epochs of the mean training loss of an epoch",
    source="Ru et al., NeurIPS 2021, arXiv:2006.04492",
    family="optimization",
    invariance=EVERY_CHANGE,
    unit="nats",
    direction="lower",
    cost="none",
    passes=no_passes,
    needs=(HISTORY,),
)
def sum_of_train_losses(ctx: MeasureContext) -> MeasureValue:
    """Return the area under the curve of the training loss, as it was while the weights changed."""
    losses = [line.values[LOSS] for line in history_of(ctx).lines() if LOSS in line.values]
    if not losses:
        raise InputError("the sum of training losses needs a loss in metrics.jsonl", received="none")
    return MeasureValue(float(np.sum(losses)), extras={"epochs": len(losses)})


@register_measure(
    name="final_gradient_norm",
    formula="‖∇L(w)‖₂",
    source="as a measure: Nakai et al., 2026, arXiv:2602.01718",
    family="optimization",
    unit="nats",
    direction="lower",
    cost="one forward and one backward pass over the samples",
    passes=gradient_passes,
    shares=(compiled_gradient,),
    needs=(IMAGES,),
    settings=("samples",),
    free=True,
)
def final_gradient_norm(ctx: MeasureContext) -> MeasureValue:
    """Return the length of the gradient of the mean loss on the samples, without weight decay.

    Raises:
        InputError: no weight is trainable.
    """
    if not ctx.surface.size:
        raise InputError("a gradient needs trainable weights", received=ctx.model.name)
    _, gradient = ctx.surface.clean_gradient
    return MeasureValue(float(np.linalg.norm(gradient)))


def early_passes(config: MeasureConfig) -> Work:
    """Return the work of the gradients of the samples."""
    return Work(rows=config.samples)


@register_measure(
    name="early_fisher_trace",
    formula="tr G / N at the weights after early_epochs epochs",
    source="Jastrzebski et al., ICML 2021, arXiv:2012.14193, there with labels that the network draws",
    family="optimization",
    invariance=EVERY_CHANGE,
    unit="nats²",
    direction="lower",
    cost="the gradient of each sample, computed again",
    passes=early_passes,
    needs=(HISTORY, IMAGES),
    settings=("samples", "early_epochs", "gamma.draw_size", "gamma.precision"),
    free=True,
)
def early_fisher_trace(ctx: MeasureContext) -> MeasureValue:
    """Return the trace of the empirical Fisher information early in training, mean over draws from the samples.

    Logits are raw and batch norm is in inference mode.

    Raises:
        InputError: no checkpoint of that epoch was kept.
    """
    from infomcr_cli.measures.gram.engine import plain_engine_for
    from infomcr_cli.models.names import temporarily_at

    train, settings = ctx.dataset.train, ctx.config.gamma
    early = history_of(ctx).weights_after(ctx.config.early_epochs)
    engine, traces = plain_engine_for(ctx.model, settings), []
    draws = disjoint_draws(
        train.labels,
        stored_order=ctx.dataset.stored_order,
        samples=max(ctx.config.samples, settings.draw_size),
        draw_size=settings.draw_size,
        draws=len(train),
    )
    with temporarily_at(ctx.model, early):
        for indices in draws:
            record = engine(ctx.dataset.standardise(train.images[indices]), train.labels[indices])
            traces.append(float(np.mean(np.exp(2 * record.log_lengths))))  # tr G / N = mean ‖J_i‖²
    return mean_over_draws(traces)
