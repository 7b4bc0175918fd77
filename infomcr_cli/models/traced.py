"""Compile functions to graphs, traced as seldom as possible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf


class Traced:
    """A function that is traced once for each kind of arguments, and for any batch size after a second one.

    TensorFlow counts traces by Python code: a function that is traced once for each of five networks counts as a
    function that is traced five times, and TensorFlow warns about it. It does not count a concrete function that is
    fetched before the call.

    Args:
        function:  a function of tensors and structures of tensors.
        signature: the types of all arguments, if they are known beforehand.
    """

    def __init__(self, function: Callable[..., Any], signature: list[tf.TensorSpec] | None = None) -> None:
        self._signature = signature
        self._function = tf.function(function, input_signature=signature, autograph=False, reduce_retracing=True)

    def __call__(self, *arguments: Any) -> Any:
        """Return the function's value."""
        if self._signature is None:
            tensors = tf.nest.map_structure(tf.convert_to_tensor, arguments)
        else:
            tensors = [tf.convert_to_tensor(a, spec.dtype) for a, spec in zip(arguments, self._signature, strict=True)]
        return self._function.get_concrete_function(*tensors)(*tensors)

    @property
    def traces(self) -> int:
        """How often the function was traced."""
        return int(self._function.experimental_get_tracing_count())
