"""Mean and variance that can be differentiated twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf


@contextmanager
def twice_differentiable_moments() -> Iterator[None]:
    """Let norms inside the block take moments whose second derivative is right.

    `tf.nn.moments` takes the mean as a constant inside the variance. Its first derivative is right all the same, as the
    deviations sum to zero, but the derivative of that one is not: the Hessian of a network with batch or group norm
    comes out wrong by a percent or more. Values and first derivatives of the replacement are the same, so that it
    harms nobody who uses it meanwhile.
    """
    original = tf.nn.moments
    tf.nn.moments = _moments
    try:
        yield
    finally:
        tf.nn.moments = original


def _moments(
    x: tf.Tensor, axes: Sequence[int], shift: Any = None, keepdims: bool = False, name: str | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    mean = tf.reduce_mean(x, axes, keepdims=True)
    variance = tf.reduce_mean(tf.square(x - mean), axes, keepdims=keepdims)
    return mean if keepdims else tf.squeeze(mean, list(axes)), variance
