"""Half precision is for training's main pass alone: what is measured or subtracted needs more than it can hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras

HALF = ("bfloat16", "float16")


@contextmanager
def full_precision(model: keras.Model) -> Iterator[None]:
    """Compute inside the block in the precision in which the weights are held, where that is not half precision.

    A step w' - w of 1e-4 gradients, or of an ε spread over a million weights, is lost when w' is rounded to bfloat16,
    and so is the difference of two losses. Layers are set while a function is traced and set back at once.
    """
    halves = [layer for layer in model._flatten_layers() if layer.compute_dtype in HALF]
    policies = [layer.dtype_policy for layer in halves]
    try:
        for layer in halves:
            layer.dtype_policy = keras.DTypePolicy(layer.variable_dtype)
        yield
    finally:
        for layer, policy in zip(halves, policies, strict=True):
            layer.dtype_policy = policy
