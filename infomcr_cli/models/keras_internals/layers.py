"""List the layers of a Keras model, and change how they compute for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Any

import keras
import tensorflow as tf
from keras.src.saving.serialization_lib import ObjectSharingScope

HALF_PRECISION = ("bfloat16", "float16")
COMPILED_BY_FIT = {"train_function", "test_function", "predict_function"}  # Keras keeps them on a model


def all_layers(model: keras.Model) -> list[keras.Layer]:
    """Return the model and all layers in it at any depth, each once, outermost first."""
    return list({id(layer): layer for layer in model._flatten_layers(include_self=True, recursive=True)}.values())


def own_variables(layer: keras.Layer) -> list[keras.Variable]:
    """Return the variables that a layer owns itself, trainable ones first, without those of layers inside it."""
    return [*layer._trainable_variables, *layer._non_trainable_variables]


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Set an attribute of one instance inside the block, without Keras tracking it."""
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


def functional_graph(model: Any) -> Any:
    """Return the functional graph behind a functional or Sequential model, None for a subclassed one."""
    graph = getattr(model, "_functional", None) or model  # a Sequential keeps its graph in an attribute
    return graph if hasattr(graph, "_nodes_by_depth") else None


def graph_nodes(graph: Any) -> list[Any]:
    """Return the calls of a functional graph in the order in which they run, its inputs included."""
    by_depth = graph._nodes_by_depth
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]


def object_sharing() -> AbstractContextManager[Any]:
    """Return a block inside which Keras describes and builds an object that several layers share only once."""
    return ObjectSharingScope()


def keras_mask(tensor: Any) -> tf.Tensor | None:
    """Return the mask that Keras keeps on a tensor, None if it has none."""
    mask = getattr(tensor, "_keras_mask", None)
    return mask if tf.is_tensor(mask) else None


def set_keras_mask(tensor: tf.Tensor, mask: tf.Tensor) -> None:
    """Let a tensor carry a mask to the layers that take it."""
    tensor._keras_mask = mask


@contextmanager
def computing_in(layer: keras.Layer, precision: str) -> Iterator[None]:
    """Let a layer compute and read its variables in `precision`; integer and string layers are left alone."""
    if not tf.as_dtype(layer.compute_dtype).is_floating:
        yield
        return
    with ExitStack() as stack:
        stack.enter_context(replaced(layer, "_dtype_policy", keras.DTypePolicy(precision)))
        graph = getattr(layer, "_functional", None) or layer
        for tensor in getattr(graph, "_inputs", None) or []:  # a model casts its inputs to the types of these tensors
            if isinstance(tensor, keras.KerasTensor) and tf.as_dtype(tensor.dtype).is_floating:
                stack.enter_context(replaced(tensor, "_dtype", precision))
        yield


@contextmanager
def of_type(variable: keras.Variable, value: tf.Tensor) -> Iterator[None]:
    """Give a variable the type of the tensor that stands for it: Keras takes the type of a result from the variable."""
    with replaced(variable, "_dtype", keras.backend.standardize_dtype(value.dtype)):
        yield


@contextmanager
def full_precision(model: keras.Model) -> Iterator[None]:
    """Compute inside the block in the precision of the weights, if the layers compute in half precision.

    A step w' - w of 1e-4 gradients, or of an ε spread over a million weights, is lost when w' is rounded to bfloat16,
    and so is the difference of two losses. Layers are set while a function is traced and set back at once.
    """
    halves = [layer for layer in all_layers(model) if layer.compute_dtype in HALF_PRECISION]
    policies = [layer.dtype_policy for layer in halves]
    try:
        for layer in halves:
            layer.dtype_policy = keras.DTypePolicy(layer.variable_dtype)
        yield
    finally:
        for layer, policy in zip(halves, policies, strict=True):
            layer.dtype_policy = policy


@contextmanager
def inlined_functions(model: keras.Model) -> Iterator[None]:
    """Inside the block, run methods of layers that are a `tf.function` as part of the function that calls them.

    A `tf.function` keeps the graph of its first call. A stateless pass calls it at other values of the weights, and it
    would still read the variables: the gradient by the given values would be zero, and what it assigns or adds to the
    loss would stay in its own graph. Autograph converts the Python code as `tf.function` does, so that
    `if` and `for` may still depend on tensors.
    """
    with ExitStack() as stack:
        for layer in all_layers(model):
            for name in compiled_methods(layer):
                stack.enter_context(replaced(layer, name, _converted(getattr(layer, name).python_function)))
        yield


def compiled_methods(layer: keras.Layer) -> list[str]:
    """Return the names of a layer's attributes, its own or of its classes, that are a `tf.function`."""
    attributes: dict[str, Any] = {}
    for holder in (*reversed(type(layer).__mro__), layer):
        attributes |= vars(holder)
    compiled = tf.types.experimental.PolymorphicFunction
    return [name for name, value in attributes.items() if isinstance(value, compiled) and name not in COMPILED_BY_FIT]


def _converted(method: Callable[..., Any]) -> Callable[..., Any]:
    owner = getattr(method, "__self__", None)  # of a bound method, which `to_graph` would return without it
    try:
        made: Callable[..., Any] = tf.autograph.to_graph(getattr(method, "__func__", method))
    except Exception:  # its source cannot be read: `tf.function` runs such a function as it is
        return method
    return made if owner is None else partial(made, owner)
