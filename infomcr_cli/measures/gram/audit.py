"""Compare per-sample gradients of the first samples with one ordinary backward pass.

For random c the squared length of Σ c_i ∂ℓ_i/∂w is cᵀGc. A layer that mixes samples, passes something by its output, or
breaks a rule's assumption fails this check, weight by weight, at the price of one pass over three samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from infomcr_cli.measures.gram.accumulate import BlockResult
from infomcr_cli.measures.gram.jacobian import Setting, forward
from infomcr_cli.measures.gram.outer_product import summed
from infomcr_cli.measures.stateless import measurement_scope

TOLERANCE = 1e-3  # of Σ c_i²‖g_i‖²; a broken assumption is wrong by about 1
NOISE = 1e-11  # of the sum over all weights: a gradient that is zero but for rounding


def disagreeing(
    setting: Setting,
    mapping: Sequence[tuple[keras.Variable, tf.Tensor]],
    variables: Sequence[keras.Variable],
    images: Any,
    labels: Any,
    result: BlockResult,
) -> set[int]:
    """Return the positions of the variables whose contributions in `result` are not the gradients of these samples.

    Args:
        mapping:        all floating-point variables with their values.
        images, labels: a few samples; `result` is what a block gave for them.
    """
    coefficients = np.random.default_rng(0).uniform(0.5, 1.5, len(labels)) * np.resize([1.0, -1.0], len(labels))
    gradients = _combined_gradient(setting, mapping, variables, images, labels, coefficients)
    truth = np.array([float(tf.reduce_sum(tf.square(g))) for g in gradients])
    grams = [summed(p).gram() if p else None for p in result.contributions]
    found = np.array([0.0 if g is None else coefficients @ g @ coefficients for g in grams])
    sizes = np.array([0.0 if g is None else np.square(coefficients) @ np.diag(g) for g in grams])
    allowed = np.maximum(TOLERANCE * np.maximum(sizes, truth), NOISE * (sizes.sum() + truth.sum()))
    return {i for i, parts in enumerate(result.contributions) if parts and abs(found[i] - truth[i]) > allowed[i]}


def _combined_gradient(
    setting: Setting, mapping: Any, variables: Any, images: Any, labels: Any, coefficients: Any
) -> list[tf.Tensor]:
    """Σ_i c_i times the derivative of sample i along its unit direction at the logits, for each variable."""
    by_identity = {id(v): value for v, value in mapping}
    wanted = [by_identity[id(v)] for v in variables]
    with measurement_scope(setting.model, mapping, setting.precision, setting.batch_norm):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(wanted)
            logits, derivative = forward(setting, keras.tree.map_structure(tf.constant, images), tf.constant(labels))
        seed = tf.cast(derivative.direction * coefficients[:, None], logits.dtype)
        gradients = tape.gradient(logits, wanted, seed, unconnected_gradients="zero")
    return [tf.cast(tf.convert_to_tensor(g), tf.float64) for g in gradients]
