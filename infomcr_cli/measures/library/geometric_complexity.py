"""Geometric complexity: how fast the logits change with the input, on training images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from infomcr_cli.config.schema.measure import MeasureConfig
from infomcr_cli.errors import InputError
from infomcr_cli.measures.base import IMAGES, register_measure
from infomcr_cli.measures.families import SAME_FUNCTION
from infomcr_cli.measures.value import MeasureValue, standard_error
from infomcr_cli.measures.work import Work

if TYPE_CHECKING:
    import keras

    from infomcr_cli.measures.context import MeasureContext
    from infomcr_cli.measures.loss_surface import LossSurface

FEW_CLASSES = 10  # up to so many, each logit is differentiated; of more, so many random sums of all logits are


def squared_slopes(surface: LossSurface, along: Any) -> Any:
    """Return ‖∂(v_i · z_i)/∂x_i‖² of each sample, [N], float64.

    Args:
        along: v, [N, C].

    Raises:
        InputError: the inputs are not real numbers.
    """
    import keras

    for x in keras.tree.flatten(surface.images):
        if not np.issubdtype(x.dtype, np.floating):
            raise InputError(
                "the derivative with respect to the inputs needs real-valued inputs", received=str(x.dtype)
            )
    return np.concatenate(surface.map_differentiated(_squared_slopes, along))


def _squared_slopes(model: keras.Model, images: Any, along: Any) -> Any:
    """Return the squared slope of each sample; in inference mode no logit depends on another sample."""
    import keras
    import tensorflow as tf

    from infomcr_cli.models import strided_gradient as _correct_gradients  # noqa: F401 -- registers gradients

    flat = keras.tree.flatten(images)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(flat)
        logits = tf.cast(model(images, training=False), tf.float64)
        total = tf.reduce_sum(along * logits)  # over samples too: one gradient holds the slopes of all
    slopes = tape.gradient(total, flat, unconnected_gradients="zero")
    # Of each input [n, ...], the squares of its entries summed to [n].
    squares = [tf.reduce_sum(tf.reshape(tf.cast(s, tf.float64), (tf.shape(s)[0], -1)) ** 2, axis=1) for s in slopes]
    return tf.add_n(squares)


def complexity_passes(config: MeasureConfig) -> Work:
    """Return the work of ten derivatives of each sample."""
    return Work(inputs=config.samples * FEW_CLASSES, functions=1)


@register_measure(
    name="geometric_complexity",
    formula="mean_i ‖∂z_i/∂x_i‖_F², x standardised; of more than 10 classes, 10 random sums of logits",
    source="Dherin et al., NeurIPS 2022, arXiv:2209.13083",
    family="norm",
    invariance=SAME_FUNCTION,
    unit="logits²",
    direction="lower",
    cost="one forward and one backward pass over the samples for up to 10 logits",
    passes=complexity_passes,
    needs=(IMAGES, "real inputs"),
    settings=("samples",),
)
def geometric_complexity(ctx: MeasureContext) -> MeasureValue:
    """Return the mean squared Frobenius norm of the Jacobian, exact for up to ten classes.

    Of more classes, the mean of ‖∂(v·z)/∂x‖² over random signs v, one v for each sample, has the same expectation.
    """
    surface = ctx.surface
    count, classes = surface.clean_logits.shape
    if classes <= FEW_CLASSES:
        units = np.eye(classes)  # one logit after the other
        means = [squared_slopes(surface, np.tile(unit, (count, 1))).mean() for unit in units]
        return MeasureValue(float(np.sum(means)))
    generator = np.random.default_rng(ctx.seed)
    signs = (generator.choice([-1.0, 1.0], (count, classes)) for _ in range(FEW_CLASSES))
    found = np.array([squared_slopes(surface, one).mean() for one in signs])
    return MeasureValue(float(found.mean()), standard_error(found), estimates=len(found))
