"""Clip gradients as Keras's optimizers do, and read the averages that they keep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


def is_clipping(optimizer: keras.Optimizer) -> bool:
    """Return whether an optimizer clips gradients."""
    return any(getattr(optimizer, name, None) for name in ("clipnorm", "global_clipnorm", "clipvalue"))


def clip(optimizer: keras.Optimizer, gradients: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Return gradients as the optimizer clips them."""
    return list(optimizer._clip_gradients(list(gradients)))


def moving_averages(optimizer: keras.Optimizer) -> list[Any]:
    """Return the averages of the weights that an optimizer keeps, in their order; none without `use_ema`."""
    return list(optimizer._model_variables_moving_average) if optimizer.use_ema else []
