"""The step of a given length up the gradient, which SAM and the penalty on the gradient's norm take."""

from __future__ import annotations

import tensorflow as tf

from infomcr_cli.training.passes import Tensors
from infomcr_cli.training.probing import Move


def uphill(length: float) -> Move:
    """Return g → length · g / ‖g‖, ‖g‖ over all weights; zero where g is zero."""

    def move(gradient: Tensors) -> Tensors:
        norm = tf.linalg.global_norm(gradient)
        scale = tf.math.divide_no_nan(tf.constant(length, norm.dtype), norm)
        return [tf.cast(scale, g.dtype) * g for g in gradient]

    return move
