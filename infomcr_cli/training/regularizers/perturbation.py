"""Gradients of sub-batches at the weights and a step away from them: what three regularizers share.

For each of M sub-batches: g_m = ∇L_m(w), w'_m = w + move(g_m) taken as a constant, g'_m = ∇L_m(w'_m).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import tensorflow as tf

from infomcr_cli.training.gradients import (
    PARALLEL_SUB_BATCHES,
    GradientAccumulator,
    Pass,
    Tensors,
    in_parts,
    next_index,
    stateless_pass,
    values_of,
    with_rng_state,
    zero_loss,
)

if TYPE_CHECKING:
    import keras


Perturbation = Callable[[Tensors], Tensors]


class PerturbedGradients(NamedTuple):
    """Means over the sub-batches.

    Args:
        drop:       mean_m (L_m(w) - L_m(w'_m)), nats.
        difference: mean_m (g_m - g'_m).
        main:       mean_m of loss, accuracy, gradient and new state at w, where it was asked for; the gradient is that
                    of the loss and of what layers added to it.
    """

    drop: tf.Tensor
    difference: Tensors
    main: Pass | None


class _Passes(NamedTuple):
    """What the passes of a probe start from, and their loop."""

    model: keras.Model
    images: tf.Tensor  # [M, b, ...]
    labels: tf.Tensor
    weights: Tensors
    state: Tensors
    move: Perturbation

    def at(self, weights: Tensors, state: Tensors, part: tf.Tensor, *, keep_added: bool = False) -> Pass:
        images, labels = self.images[part], self.labels[part]
        return stateless_pass(self.model, weights, state, images, labels, keep_added=keep_added)

    def moved(self, gradient: Tensors) -> Tensors:
        """w' for a gradient at w."""
        return [w + step for w, step in zip(self.weights, self.move(gradient), strict=True)]

    def zeros(self) -> Tensors:
        return [tf.zeros_like(w) for w in self.weights]

    def looped(self, body: Callable[..., tuple[Any, ...]], times: int, *carried: Any) -> tuple[Any, ...]:
        """Repeat `body`, traced once, on a counter and what it carries."""
        start = (tf.constant(0), self.state, *carried)
        _, _, *found = tf.while_loop(
            lambda i, *_: i < times, body, start, parallel_iterations=PARALLEL_SUB_BATCHES, maximum_iterations=times
        )
        return tuple(found)


def perturbed_gradients(
    model: keras.Model, images: Any, labels: Any, *, num_sub_batches: int, move: Perturbation, keep_main: bool = False
) -> PerturbedGradients:
    """Return how losses and gradients change between w and w'; neither weights nor statistics change.

    Two sub-batches are passed at a time, for one of them leaves processors idle; the sums keep their order.

    Args:
        num_sub_batches: M; must divide the batch.
        move:            g → the step from w; it must map zeros to zeros.
        keep_main:       whether to keep what can stand for the main pass.

    Raises:
        InputError: M does not divide the batch.
    """
    parts = in_parts(images, num_sub_batches), in_parts(labels, num_sub_batches)
    weights, state = values_of(model.trainable_variables), values_of(model.non_trainable_variables)
    summed = _in_pairs if keep_main else _in_turns
    drop, difference, *main = summed(_Passes(model, *parts, weights, state, move), num_sub_batches)
    mean = main[0].mean(num_sub_batches) if main else None
    return PerturbedGradients(drop / num_sub_batches, [d / num_sub_batches for d in difference], mean)


def _in_pairs(passes: _Passes, count: int) -> tuple[Any, ...]:
    """Sum up drops, differences and main passes: each turn of the loop passes at w and then at w'."""
    model, weights = passes.model, passes.weights

    def body(
        i: tf.Tensor, state: Tensors, drop: tf.Tensor, difference: Tensors, main: GradientAccumulator
    ) -> tuple[Any, ...]:
        found = passes.at(weights, state, i, keep_added=True)
        probed = passes.at(passes.moved(found.gradient), state, i)
        # Losses and gradients of the two differ little: subtract them before they meet the sums.
        drop += found.loss - probed.loss
        change = [g - p for g, p in zip(found.gradient, probed.gradient, strict=True)]
        difference = [d + c for d, c in zip(difference, change, strict=True)]
        return next_index(i, probed), with_rng_state(state, probed.state), drop, difference, main.plus(found)

    start = GradientAccumulator.zero(model, weights, passes.state)
    return passes.looped(body, count, zero_loss(model), passes.zeros(), start)


class _Waiting(NamedTuple):
    """A sub-batch that was passed at w, or zeros, until it is passed at w' with the same random numbers."""

    loss: tf.Tensor
    gradient: Tensors
    state: Tensors


def _in_turns(passes: _Passes, count: int) -> tuple[Any, ...]:
    """Sum up drops and differences beside a main pass: the body holds one pass, since a second takes long to trace.

    Where M is even the turns go w_0, w_1, w'_0, w'_1, w_2, …, so that each needs the last but one and not the last.
    """
    ahead = PARALLEL_SUB_BATCHES if count % PARALLEL_SUB_BATCHES == 0 else 1
    types = {w.dtype for w in passes.weights}

    def body(
        i: tf.Tensor, state: Tensors, waiting: list[_Waiting], drop: tf.Tensor, difference: Tensors
    ) -> tuple[Any, ...]:
        moved = tf.equal(i // ahead % 2, 1)
        # Factors, for a choice by a scalar condition takes TensorFlow several times as long as a product.
        kept, taken = ({t: tf.cast(where, t) for t in types} for where in (~moved, moved))
        before, *others = waiting
        used = with_rng_state(state, before.state, when=moved)
        found = passes.at(passes.moved(before.gradient), used, i // (2 * ahead) * ahead + i % ahead)
        # Losses and gradients of the two differ little: subtract them before they meet the sums.
        drop += tf.where(moved, before.loss - found.loss, 0)
        change = [taken[g.dtype] * (p - g) for p, g in zip(before.gradient, found.gradient, strict=True)]
        difference = [d + c for d, c in zip(difference, change, strict=True)]
        after = _Waiting(found.loss, [kept[g.dtype] * g for g in found.gradient], used)
        turn = next_index(i, found)
        return turn, with_rng_state(state, found.state, when=~moved), [*others, after], drop, difference

    nothing = zero_loss(passes.model)
    waiting = [_Waiting(nothing, passes.zeros(), passes.state) for _ in range(ahead)]
    _, *sums = passes.looped(body, 2 * count, waiting, nothing, passes.zeros())
    return tuple(sums)


def normalized_ascent(length: float) -> Perturbation:
    """Return g → length · g / ‖g‖, ‖g‖ over all weights; zero where g is zero."""

    def move(gradient: Tensors) -> Tensors:
        norm = tf.linalg.global_norm(gradient)
        scale = tf.math.divide_no_nan(tf.constant(length, norm.dtype), norm)
        return [tf.cast(scale, g.dtype) * g for g in gradient]

    return move
