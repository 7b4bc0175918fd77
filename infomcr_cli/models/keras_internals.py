"""The private names of Keras and TensorFlow that the rest of the package works with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf
from tensorflow.python.framework.ops import gradient_registry

if TYPE_CHECKING:
    Call = Callable[..., Any]


Gradient = Callable[..., Any]


def replace_gradient(operation: str, replacement: Callable[[Gradient], Gradient]) -> None:
    """Let every tape of this process differentiate a type of operation in another way, from now on.

    `tf.RegisterGradient` refuses a second function for one type, so that the first must leave the registry.

    Args:
        operation:   the type, such as Conv2D.
        replacement: from TensorFlow's function (operation, *gradients by outputs) → gradients by inputs to the new one.
    """
    original = gradient_registry.lookup(operation)
    del gradient_registry._registry[operation]
    tf.RegisterGradient(operation)(replacement(original))


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Set an attribute on this instance alone for a while, past any tracking by Keras."""
    missing = object()
    before = vars(owner).get(name, missing)
    object.__setattr__(owner, name, value)
    try:
        yield
    finally:
        if before is missing:
            object.__delattr__(owner, name)
        else:
            object.__setattr__(owner, name, before)


def all_layers(model: keras.Model) -> list[keras.Layer]:
    """Return the model and all layers in it at any depth, each once, outermost first."""
    return list({id(layer): layer for layer in model._flatten_layers(include_self=True, recursive=True)}.values())


def own_weights(layer: keras.Layer) -> list[keras.Variable]:
    """Return all variables of a layer; of a model those that it holds itself, not its layers'."""
    if isinstance(layer, keras.Model):
        return [*layer._trainable_variables, *layer._non_trainable_variables]
    return list(layer.weights)


def own_trainable(layer: keras.Layer) -> tuple[keras.Variable, ...]:
    """Return the trainable variables that a layer holds itself, not those of layers inside it."""
    return tuple(v for v in layer._trainable_variables if v.trainable) if layer.trainable else ()


@contextmanager
def computing_in(layer: keras.Layer, precision: str) -> Iterator[None]:
    """Make a layer compute and read its variables in `precision`; integer and string layers are left alone."""
    if not tf.as_dtype(layer.compute_dtype).is_floating:
        yield
        return
    with ExitStack() as stack:
        stack.enter_context(replaced(layer, "_dtype_policy", keras.DTypePolicy(precision)))
        graph = getattr(layer, "_functional", None) or layer  # a Sequential holds one that is none of its layers
        for tensor in getattr(graph, "_inputs", None) or []:  # a model casts what it is given to the type of these
            if isinstance(tensor, keras.KerasTensor) and tf.as_dtype(tensor.dtype).is_floating:
                stack.enter_context(replaced(tensor, "_dtype", precision))
        yield


def functional_graph(model: Any) -> Any:
    """Return the graph of layers behind a functional or sequential model; None if Python code runs it."""
    graph = getattr(model, "_functional", None) or model
    return graph if hasattr(graph, "_nodes_by_depth") else None


def graph_nodes(graph: Any) -> list[Any]:
    """Return the nodes of a `functional_graph` but for its inputs, in an order in which they can be computed."""
    depths = sorted(graph._nodes_by_depth, reverse=True)
    return [node for depth in depths for node in graph._nodes_by_depth[depth] if not node.is_input]


def operation_number(operation: tf.Operation) -> int:
    """Return the place of an operation in the order in which its graph was built."""
    return int(operation._id)


def mask_of(x: Any) -> tf.Tensor | None:
    """Return the mask that Keras has attached to a tensor; None if there is none."""
    mask = getattr(x, "_keras_mask", None)
    return mask if tf.is_tensor(mask) else None


def attach_mask(x: Any, mask: tf.Tensor) -> None:
    """Attach a mask to a tensor, as Keras does."""
    x._keras_mask = mask


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


@contextmanager
def fused_batch_norm(model: keras.Model) -> Iterator[None]:
    """Let the batch norms of `model` that can be fused take their fused kernels, in what is traced inside."""
    with ExitStack() as stack:
        for layer in model._flatten_layers():
            if type(layer) is keras.layers.BatchNormalization and not layer.renorm:
                stack.enter_context(replaced(layer, "call", partial(_call, layer, layer.call)))
        yield


def _call(layer: Any, call: Call, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
    if not (training and layer.trainable and mask is None and _fits(layer, inputs)):
        return call(inputs, training=training, mask=mask)
    channels = layer.moving_mean.shape
    scale = layer.gamma.value if layer.scale else tf.ones(channels)
    centre = layer.beta.value if layer.center else tf.zeros(channels)
    output, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=inputs, scale=scale, offset=centre, mean=[], variance=[], epsilon=layer.epsilon, is_training=True
    )
    _move(layer.moving_mean, mean, layer.momentum)
    _move(layer.moving_variance, variance * _biased(inputs), layer.momentum)
    return output


def _fits(layer: Any, inputs: Any) -> bool:
    last = layer.axis in (-1, 3)
    return not layer.synchronized and last and inputs.shape.rank == 4 and inputs.dtype == tf.float32


def _move(statistic: Any, value: tf.Tensor, momentum: float) -> None:
    statistic.assign(statistic.value * momentum + value * (1.0 - momentum))


def _biased(inputs: tf.Tensor) -> tf.Tensor:
    """(n - 1)/n for n values of a channel: the fused kernel's variance is the unbiased one, that of Keras is not."""
    count = tf.cast(tf.size(inputs) // inputs.shape[-1], tf.float32)
    return tf.where(count > 1, (count - 1) / count, 1.0)
