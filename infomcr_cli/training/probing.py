"""Gradients of sub-batches at the weights and a step away from them: what three regularizers share.

For each of M sub-batches: g_m = ∇L_m(w), w'_m = w + move(g_m) taken as a constant, g'_m = ∇L_m(w'_m).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import tensorflow as tf

from infomcr_cli.training.passes import Pass, Tensors, stateless_pass, values_of
from infomcr_cli.training.sub_batches import PassSum, in_parts, next_draw, zero_loss

if TYPE_CHECKING:
    import keras

Move = Callable[[Tensors], Tensors]


class Probe(NamedTuple):
    """Means over the sub-batches.

    Args:
        drop:       mean_m (L_m(w) - L_m(w'_m)), nats.
        difference: mean_m (g_m - g'_m).
        main:       mean_m of loss, accuracy, gradient and new state at w, where it was asked for.
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
    move: Move

    def at(self, weights: Tensors, state: Tensors, part: tf.Tensor) -> Pass:
        return stateless_pass(self.model, weights, state, self.images[part], self.labels[part])

    def moved(self, gradient: Tensors) -> Tensors:
        """w' for a gradient at w."""
        return [w + step for w, step in zip(self.weights, self.move(gradient), strict=True)]

    def looped(self, body: Callable[..., tuple[Any, ...]], times: int, *carried: Any) -> tuple[Any, ...]:
        """Repeat `body`, traced once, on a counter and what it carries."""
        start = (tf.constant(0), self.state, *carried)
        _, _, *found = tf.while_loop(
            lambda i, *_: i < times, body, start, parallel_iterations=1, maximum_iterations=times
        )
        return tuple(found)


def probe(
    model: keras.Model, images: Any, labels: Any, *, num_sub_batches: int, move: Move, keep_main: bool = False
) -> Probe:
    """Return how losses and gradients change between w and w'; neither weights nor statistics change.

    Args:
        num_sub_batches: M; must divide the batch.
        move:            g → the step from w; it must map zeros to zeros.
        keep_main:       whether to keep what can stand for the main pass.
    Raises:  InputError: M does not divide the batch.
    """
    parts = in_parts(images, num_sub_batches), in_parts(labels, num_sub_batches)
    passes = _Passes(
        model, *parts, values_of(model.trainable_variables), values_of(model.non_trainable_variables), move
    )
    drop, difference, *main = (_in_pairs if keep_main else _in_turns)(passes, num_sub_batches)
    mean = main[0].mean(num_sub_batches) if main else None
    return Probe(drop / num_sub_batches, [d / num_sub_batches for d in difference], mean)


def _in_pairs(passes: _Passes, count: int) -> tuple[Any, ...]:
    """Sum up drops, differences and main passes: each turn of the loop passes at w and then at w'."""
    model, weights = passes.model, passes.weights

    def body(i: tf.Tensor, state: Tensors, drop: tf.Tensor, difference: Tensors, main: PassSum) -> tuple[Any, ...]:
        found = passes.at(weights, state, i)
        probed = passes.at(passes.moved(found.gradient), state, i)
        # Losses and gradients of the two differ little: subtract them before they meet the sums.
        drop += found.loss - probed.loss
        change = [g - p for g, p in zip(found.gradient, probed.gradient, strict=True)]
        difference = [d + c for d, c in zip(difference, change, strict=True)]
        return i + 1, next_draw(state, probed.state), drop, difference, main.plus(found)

    zeros = [tf.zeros_like(w) for w in weights]
    return passes.looped(body, count, zero_loss(model), zeros, PassSum.zero(model, weights, passes.state))


def _in_turns(passes: _Passes, count: int) -> tuple[Any, ...]:
    """Sum up drops and differences beside a main pass that is traced elsewhere: the body holds one pass only.

    Even turns stand at w and leave g_m behind, odd ones at w'. Tracing two here would make the first call longer.
    """
    types = {w.dtype for w in passes.weights}

    def body(i: tf.Tensor, state: Tensors, probed: Tensors, drop: tf.Tensor, difference: Tensors) -> tuple[Any, ...]:
        moved = tf.equal(i % 2, 1)
        # Factors, for a choice by a scalar condition takes TensorFlow several times as long as a product.
        kept, taken = ({t: tf.cast(where, t) for t in types} for where in (~moved, moved))
        found = passes.at(passes.moved(probed), state, i // 2)
        drop += tf.where(moved, -found.loss, found.loss)
        change = [taken[g.dtype] * (p - g) for p, g in zip(probed, found.gradient, strict=True)]
        difference = [d + c for d, c in zip(difference, change, strict=True)]
        probed = [kept[g.dtype] * g for g in found.gradient]
        return i + 1, next_draw(state, found.state, when=moved), probed, drop, difference

    zeros = [tf.zeros_like(w) for w in passes.weights]
    _, *sums = passes.looped(body, 2 * count, zeros, zero_loss(passes.model), zeros)
    return tuple(sums)
