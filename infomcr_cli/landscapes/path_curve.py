"""Paths between two minima in weights: the straight line, and a quadratic Bézier curve with a trained control point.

| symbol | meaning |
| --- | --- |
| w_A, w_B | weights of the two minima |
| θ | control point, of the same shapes |
| φ(t) = (1 − t)² w_A + 2t(1 − t) θ + t² w_B | the curve; φ(0) = w_A, φ(1) = w_B |
| E_t L(φ(t)) | what θ minimizes, t even on [0, 1]; its gradient is E_t 2t(1 − t) ∇L(φ(t)) |

Source: Garipov et al., 2018, arXiv:1802.10026, equations 2 and 4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from infomcr_cli.models.keras_internals import fused_batch_norm
from infomcr_cli.training.gradients import connected_gradient, training_loss
from infomcr_cli.training.model_losses import call_at, losses_on_weights, summed

Arrays = Mapping[str, Any]


def curve_weights(t: Any) -> tuple[Any, Any, Any]:
    """Return what w_A, θ and w_B are multiplied by at t.

    Examples:
        >>> curve_weights(0.5)
        (0.25, 0.5, 0.25)
    """
    return (1 - t) ** 2, 2 * t * (1 - t), t**2


def curve_point(first: Any, control: Any, last: Any, t: Any) -> Any:
    """Return φ(t) of one array."""
    a, c, b = curve_weights(t)
    return a * first + c * control + b * last


def on_line(first: Arrays, last: Arrays, t: float) -> dict[str, Any]:
    """Return (1 − t) w_A + t w_B by name; whole numbers, such as counters, are those of the first end."""
    points: dict[str, Any] = {}
    for name, value in first.items():
        a, b = np.asarray(value), np.asarray(last[name])
        is_float = np.issubdtype(a.dtype, np.floating) or a.dtype.name == "bfloat16"  # which NumPy does not count
        points[name] = ((1 - t) * a.astype(np.float64) + t * b.astype(np.float64)).astype(a.dtype) if is_float else a
    return points


def on_curve(first: Arrays, control: Arrays, last: Arrays, t: float) -> dict[str, Any]:
    """Return φ(t) by name; what has no control point, such as moving statistics, is on the straight line."""
    points = on_line(first, last, t)
    for name, middle in control.items():
        a, c, b = (np.asarray(one, np.float64) for one in (first[name], middle, last[name]))
        points[name] = curve_point(a, c, b, t).astype(points[name].dtype)
    return points


def curve_gradient(
    model: keras.Model,
    t: Any,
    ends: tuple[Sequence[Any], Sequence[Any]],
    control: Sequence[Any],
    state: Sequence[Any],
    images: Any,
    labels: Any,
) -> tuple[tf.Tensor, list[tf.Tensor], list[tf.Tensor]]:
    """Return the objective at φ(t), its gradient by θ, and what the model's other variables would be after the pass.

    The objective is that of training: cross-entropy and the model's own losses, both at φ(t), as in the source. Batch
    norm takes the statistics of the batch, dropout is active; the model itself stays as it is.

    Args:
        ends:    w_A and w_B, a tensor for each of `model.trainable_variables`.
        control: θ, likewise.
        state:   a tensor for each of `model.non_trainable_variables`.
    """
    t = t if tf.is_tensor(t) else tf.constant(t, tf.float64)
    weights = [curve_point(a, c, b, tf.cast(t, c.dtype)) for a, c, b in zip(ends[0], control, ends[1], strict=True)]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(weights)
        with fused_batch_norm(model):
            logits, after, losses = call_at(model, weights, list(state), images)
        loss = training_loss(labels, logits)
        objective = loss + summed([*losses, *losses_on_weights(model, weights)], loss.dtype)
    gradient = connected_gradient(tape, objective, weights)
    of_control = curve_weights(t)[1]  # ∂φ/∂θ = 2t(1 − t), by the chain rule
    dense = [tf.convert_to_tensor(g) for g in gradient]
    return objective, [tf.cast(of_control, g.dtype) * g for g in dense], after
