"""Gradients of sub-batches at the weights and a small step away from them: what three regularizers share.

For each sub-batch m, with u the perturbation, a function of the gradient such as -α g or ρ g / ‖g‖:

    g_m  = ∇L_m(w)
    w'_m = w + u(g_m)                            # a constant: nothing is differentiated through it
    g'_m = ∇L_m(w'_m)
    loss decrease       = mean_m (L_m(w) - L_m(w'_m))
    gradient difference = mean_m (g_m - g'_m)

Both passes over a sub-batch draw the same dropout and take the sub-batch's own batch statistics. Symbols are those of
`sub_batches`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import tensorflow as tf

from infomcr_cli.training.gradients import Pass, Tensors, stateless_pass
from infomcr_cli.training.regularizers.sub_batches import (
    PARALLEL_SUB_BATCHES,
    GradientAccumulator,
    SubBatches,
    generators_of,
    next_index,
)

if TYPE_CHECKING:
    import keras

Perturbation = Callable[[Tensors], Tensors]


def gradient_step(alpha: float) -> Perturbation:
    """Return the perturbation u(g) = -α g: a step of gradient descent."""
    return lambda gradient: [-tf.constant(alpha, g.dtype) * g for g in gradient]


def normalized_ascent(length: float) -> Perturbation:
    """Return the perturbation u(g) = length · g / ‖g‖, with ‖g‖ over all weights; zero if g is zero."""

    def perturbation(gradient: Tensors) -> Tensors:
        kinds = {g.dtype for g in gradient}  # more than one if a layer has a precision of its own
        norm = tf.linalg.global_norm(gradient if len(kinds) == 1 else [tf.cast(g, tf.float64) for g in gradient])
        scale = tf.math.divide_no_nan(tf.constant(length, norm.dtype), norm)
        return [tf.cast(scale, g.dtype) * g for g in gradient]

    return perturbation


class PerturbedGradients(NamedTuple):
    """Means over the sub-batches.

    Args:
        loss_decrease: mean_m (L_m(w) - L_m(w'_m)), nats.
        difference:    mean_m (g_m - g'_m), one tensor for each of `model.trainable_variables`.
        main:          mean_m of loss, accuracy, gradient and new state at w, if they were to be kept; the gradient is
                       that of the loss and of what layers added to it.
    """

    loss_decrease: tf.Tensor
    difference: Tensors
    main: Pass | None


def perturbed_gradients(
    model: keras.Model,
    images: Any,
    labels: Any,
    *,
    num_sub_batches: int,
    perturbation: Perturbation,
    keep_main: bool = False,
) -> PerturbedGradients:
    """Return how losses and gradients change between w and w'; neither weights nor moving statistics change.

    Args:
        images:          standardised, [B, H, W, C].
        labels:          integers [B], or class weights [B, C].
        num_sub_batches: M; must divide B.
        perturbation:    u; it must map zeros to zeros.
        keep_main:       whether to keep what can replace the main pass.

    Raises:
        InputError: M does not divide B.
    """
    batch = SubBatches.split(model, images, labels, num_sub_batches)
    passes = _paired_passes if keep_main else _alternating_passes
    decrease, difference, *main = passes(batch, num_sub_batches, perturbation)
    mean = main[0].mean(num_sub_batches, batch) if main else None
    return PerturbedGradients(decrease / num_sub_batches, [d / num_sub_batches for d in difference], mean)


def _paired_passes(batch: SubBatches, count: int, perturbation: Perturbation) -> tuple[Any, ...]:
    """Sum loss decreases, gradient differences and passes at w; iteration m passes at w and then at w'_m."""

    def body(
        m: tf.Tensor, generators: Tensors, decrease: tf.Tensor, difference: Tensors, main: GradientAccumulator
    ) -> tuple[Any, ...]:
        images, labels = batch.part(m)
        state = batch.state_from(generators)
        at_w = stateless_pass(batch.model, batch.weights, state, images, labels, keep_added=True)
        perturbed = _add(batch.weights, perturbation(at_w.gradient))
        # From the same state, so that dropout drops the same units.
        at_perturbed = stateless_pass(batch.model, perturbed, state, images, labels)
        # Losses and gradients of the two differ little. They are subtracted before they are added to the sums, which
        # are larger and would round the difference away.
        decrease += at_w.loss - at_perturbed.loss
        difference = _add(difference, _subtract(at_w.gradient, at_perturbed.gradient))
        generators = generators_of(at_perturbed.state)
        return next_index(m, at_perturbed), generators, decrease, difference, main.plus(at_w, m, batch)

    start = GradientAccumulator.zero(batch, count)
    return batch.loop(body, count, batch.zero_loss(), batch.zero_gradient(), start)


class _PassAtW(NamedTuple):
    """A pass at w whose counterpart at w' is still to come.

    Args:
        loss:       L_m(w).
        gradient:   g_m.
        generators: from which the pass started.
    """

    loss: tf.Tensor
    gradient: Tensors
    generators: Tensors


def _alternating_passes(batch: SubBatches, count: int, perturbation: Perturbation) -> tuple[Any, ...]:
    """Sum loss decreases and gradient differences; each iteration makes one pass, at w or at w'.

    The body holds one pass instead of two because tracing and compiling a pass of a deep network takes seconds. If M is
    even, two sub-batches alternate, so that an iteration never waits for the one right before it:

        iteration i   0    1    2     3     4    5    6     7    ...
        weights       w    w    w'_0  w'_1  w    w    w'_2  w'_3
        sub-batch m   0    1    0     1     2    3    2     3
    """
    group = PARALLEL_SUB_BATCHES if count % PARALLEL_SUB_BATCHES == 0 else 1  # sub-batches that alternate

    def body(
        i: tf.Tensor, generators: Tensors, pending: list[_PassAtW], decrease: tf.Tensor, difference: Tensors
    ) -> tuple[Any, ...]:
        is_perturbed = tf.equal(i // group % 2, 1)
        m = i // (2 * group) * group + i % group
        # A first-in-first-out queue of `group` passes: its head was made `group` iterations ago. In a pass at w' it is
        # the same sub-batch's pass at w; in a pass at w it is one at w', which nothing needs any more.
        head, *others = pending
        # In a pass at w' start from the state of its pass at w, so that dropout drops the same units.
        start = [tf.where(is_perturbed, h, g) for h, g in zip(head.generators, generators, strict=True)]
        # Branches in place of factors 0 and 1: each operation on all weights takes a hundredth of the pass.
        weights = tf.cond(
            is_perturbed, lambda: _add(batch.weights, perturbation(head.gradient)), lambda: list(batch.weights)
        )
        found = stateless_pass(batch.model, weights, batch.state_from(start), *batch.part(m))
        # As in `_paired_passes`, subtract before adding to the sums.
        decrease += tf.where(is_perturbed, head.loss - found.loss, 0)
        difference = tf.cond(
            is_perturbed,
            lambda: _add(difference, _subtract(head.gradient, found.gradient)),
            lambda: list(difference),
        )
        # Generators move on once for each sub-batch: after its pass at w.
        after = generators_of(found.state)
        generators = [tf.where(is_perturbed, g, a) for g, a in zip(generators, after, strict=True)]
        tail = _PassAtW(found.loss, found.gradient, start)
        return next_index(i, found), generators, [*others, tail], decrease, difference

    nothing = batch.zero_loss()
    pending = [_PassAtW(nothing, batch.zero_gradient(), generators_of(batch.state)) for _ in range(group)]
    _, *sums = batch.loop(body, 2 * count, pending, nothing, batch.zero_gradient())
    return tuple(sums)


def _subtract(left: Tensors, right: Tensors) -> Tensors:
    return [a - b for a, b in zip(left, right, strict=True)]


def _add(left: Tensors, right: Tensors) -> Tensors:
    return [a + b for a, b in zip(left, right, strict=True)]
