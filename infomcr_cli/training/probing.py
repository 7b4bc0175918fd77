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


def probe(
    model: keras.Model, images: Any, labels: Any, *, num_sub_batches: int, move: Move, keep_main: bool = False
) -> Probe:
    """Return how losses and gradients change between w and w'; neither weights nor statistics change.

    The 2M passes are one loop whose body is traced once: even passes stand at w and leave g_m behind, odd ones at w'.

    Args:
        num_sub_batches: M; must divide the batch.
        move:            g → the step from w; it must map zeros to zeros.
        keep_main:       whether to keep what can stand for the main pass.
    Raises:  InputError: M does not divide the batch.
    """
    parts = in_parts(images, num_sub_batches), in_parts(labels, num_sub_batches)
    weights, state = values_of(model.trainable_variables), values_of(model.non_trainable_variables)
    zeros = [tf.zeros_like(w) for w in weights]

    def body(
        i: tf.Tensor, state: Tensors, probed: Tensors, drop: tf.Tensor, difference: Tensors, main: Any
    ) -> tuple[Any, ...]:
        moved = tf.equal(i % 2, 1)
        # Factors, for a choice by a scalar condition takes TensorFlow several times as long as a product.
        kept, taken = ({t: tf.cast(where, t) for t in {w.dtype for w in weights}} for where in (~moved, moved))
        here = [w + step for w, step in zip(weights, move(probed), strict=True)]
        found = stateless_pass(model, here, state, parts[0][i // 2], parts[1][i // 2])
        drop += tf.where(moved, -found.loss, found.loss)
        # The two gradients differ little: subtract them before they meet the sum.
        change = [taken[g.dtype] * (p - g) for p, g in zip(probed, found.gradient, strict=True)]
        difference = [d + c for d, c in zip(difference, change, strict=True)]
        probed = [kept[g.dtype] * g for g in found.gradient]
        main = main.plus(found, where=~moved) if keep_main else main
        return i + 1, next_draw(state, found.state, when=moved), probed, drop, difference, main

    passes = 2 * num_sub_batches
    start = PassSum.zero(model, weights, state) if keep_main else ()
    *_, drop, difference, main = tf.while_loop(
        lambda i, *_: i < passes,
        body,
        (tf.constant(0), state, zeros, zero_loss(model), zeros, start),
        parallel_iterations=1,
        maximum_iterations=passes,
    )
    mean = main.mean(num_sub_batches) if keep_main else None
    return Probe(drop / num_sub_batches, [d / num_sub_batches for d in difference], mean)
