"""Read the operations of TensorFlow's graphs, and replace the gradient of a type of operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from keras.src.backend.tensorflow import nn
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
from tensorflow.python.framework.ops import gradient_registry
from tensorflow.python.util import _pywrap_util_port

Gradient = Callable[..., Any]
Convolution = Callable[..., Any]


def replace_gradient(operation: str, replacement: Callable[[Gradient], Gradient]) -> None:
    """Let every tape of this process differentiate a type of operation in another way, from now on.

    `tf.RegisterGradient` refuses a second function for one type, so the first is removed from the registry.

    Args:
        operation:   the type, such as Conv2D.
        replacement: from TensorFlow's function (operation, *gradients by outputs) → gradients by inputs to the new one.
    """
    original = gradient_registry.lookup(operation)
    del gradient_registry._registry[operation]
    tf.RegisterGradient(operation)(replacement(original))


def replace_convolution(replacement: Callable[[Convolution], Convolution]) -> None:
    """Let every layer and function of Keras convolve in another way, from now on.

    Args:
        replacement: from the function behind `keras.ops.conv` to the new one.
    """
    nn.conv = replacement(nn.conv)


def computes_with_onednn() -> bool:
    """Return whether TensorFlow uses the kernels of oneDNN on the CPU, by its build, the machine and the setting."""
    return bool(_pywrap_util_port.IsMklEnabled())


def creation_index(operation: tf.Operation) -> int:
    """Return the place of an operation in the order in which the operations of its graph were made."""
    return int(operation._id)


def needs_xla(operation: tf.Operation) -> bool:
    """Return whether an operation calls a function that XLA compiles: it may hold operations without a CPU kernel."""
    if "PartitionedCall" not in operation.type:  # the attributes of other operations may hold large constants
        return False
    return bool(operation.node_def.attr["_XlaMustCompile"].b)


def frozen_function(function: Any) -> Any:
    """Return a concrete function with its variables and other captured tensors as constants of its graph."""
    return convert_variables_to_constants_v2(function, lower_control_flow=False)


def called_function(call: tf.Operation) -> tf.Graph:
    """Return the graph of the function that an operation of type PartitionedCall calls."""
    graph: tf.Graph = call.graph._get_function(call.get_attr("f").name).graph
    return graph
