"""Functions compiled to a graph, traced as often as they must be and no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf


class Traced:
    """A function that is traced once for each kind of arguments, and for any batch once it has met a second one.

    TensorFlow counts traces by Python code. A function that is traced once for each of five networks looks to it like
    one that is traced five times, and it tells the user so; graphs that are fetched before they are called it leaves
    out of the count.

    Args:
        function:  of tensors and structures of them.
        signature: the types of all arguments, where they are known beforehand.
    """

    def __init__(self, function: Callable[..., Any], signature: list[tf.TensorSpec] | None = None) -> None:
        self._function = tf.function(function, input_signature=signature, autograph=False, reduce_retracing=True)

    def __call__(self, *arguments: Any) -> Any:
        """Return the function's value."""
        tensors = tf.nest.map_structure(tf.convert_to_tensor, arguments)
        return self._function.get_concrete_function(*tensors)(*tensors)

    @property
    def traces(self) -> int:
        """How often it was traced."""
        return int(self._function.experimental_get_tracing_count())
