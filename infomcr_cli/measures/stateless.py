"""Run a Keras model at given weights, in a given precision, without changing the model's own state.

Weights come in as tensors through a `keras.StatelessScope`: what a layer assigns (moving statistics, seeds) stays in
the scope and is dropped with it, also after an exception. Precision and batch norm's mode are set on the layers while a
function is traced and put back at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from infomcr_cli.errors import InputError
from infomcr_cli.measures.samples import take
from infomcr_cli.models import grouped_convolution as _compiled_once  # noqa: F401 -- for every convolution
from infomcr_cli.models import strided_gradient as _safe_kernels  # noqa: F401 -- for every tape
from infomcr_cli.models.keras_internals import all_layers, compiled_methods, computing_in, of_type, replaced
from infomcr_cli.models.logits import check_logits

BatchNormMode = Literal["inference", "batch"]
_tracing = threading.RLock()  # settings of layers are changed for the time of a trace: one at a time


def complete(model: keras.Model, images: Any) -> int:
    """Call a model once, so that layers create the weights that need an input, and check that it returns logits.

    Returns:
        The number of classes.

    Raises:
        InputError: the output is not one vector of two or more logits a sample, or it is probabilities.
    """
    few = take(images, np.zeros(2, np.int64))
    with keras.StatelessScope() if model.built else nullcontext():  # what a layer counts at inference stays as it is
        classes = number_of_classes(model(few, training=False))
    check_logits(model, few)
    return classes


def number_of_classes(logits: Any) -> int:
    """Return C of logits [n, C].

    Raises:
        InputError: they are not one vector of two or more logits a sample.
    """
    if not tf.is_tensor(logits) or logits.shape.rank != 2 or (logits.shape[1] or 0) < 2:
        received = getattr(logits, "shape", type(logits).__name__)
        raise InputError("a measured model must map a sample to one vector of two or more logits", received=received)
    return int(logits.shape[1])


def float_weights(model: keras.Model) -> list[keras.Variable]:
    """Return every floating-point variable of a model, trainable ones first, in a fixed order, without repeats."""
    unique = {id(v): v for v in [*trainable_weights(model), *model.variables]}
    return [v for v in unique.values() if is_floating(v)]


def trainable_weights(model: keras.Model) -> list[keras.Variable]:
    """Return w: the trainable floating-point variables of a model in its order, without repeats.

    Keras counts a layer's integers among its trainable variables too, unless the layer says that they are not.
    """
    unique = {id(v): v for v in model.trainable_variables}
    return [v for v in unique.values() if is_floating(v)]


def is_floating(variable: keras.Variable) -> bool:
    """Return whether a variable can be a weight: counters and states of random generators cannot."""
    return bool(tf.as_dtype(variable.dtype).is_floating)


def natural_precision(model: keras.Model) -> str:
    """Return `float64` for a model with float64 weights, else `float32` (half precision is computed in it)."""
    weights = trainable_weights(model) or float_weights(model)
    return "float64" if any(v.dtype == "float64" for v in weights) else "float32"


@contextmanager
def measurement_scope(
    model: keras.Model, weights: Sequence[tuple[keras.Variable, tf.Tensor]], precision: str, batch_norm: BatchNormMode
) -> Iterator[None]:
    """Run the model inside with `weights` for its variables, computing in `precision`, batch norm in the given mode."""
    with _tracing, ExitStack() as stack:
        for layer in all_layers(model):
            stack.enter_context(computing_in(layer, precision))
            stack.enter_context(_with_fresh_functions(layer))
            if batch_norm == "batch" and isinstance(layer, keras.layers.BatchNormalization):
                stack.enter_context(replaced(layer, "call", _with_batch_statistics(layer.call)))
        scope = stack.enter_context(keras.StatelessScope())
        for variable, value in weights:
            stack.enter_context(of_type(variable, value))
            scope.add_update((variable, value))
        yield


def in_precision(images: Any, precision: str) -> Any:
    """Return images with floating-point arrays in `precision`: not every layer casts what it is given."""

    def cast(x: Any) -> tf.Tensor:
        x = tf.convert_to_tensor(x)
        return tf.cast(x, precision) if x.dtype.is_floating else x

    return keras.tree.map_structure(cast, images)


@contextmanager
def without_tf32() -> Iterator[None]:
    """Multiply float32 as float32 inside the block: by itself TensorFlow gives a GPU ten bits of it (TF32)."""
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


@contextmanager
def _with_fresh_functions(layer: keras.Layer) -> Iterator[None]:
    """Trace methods that are a `tf.function` anew: a trace that Keras keeps must never refer to our tensors."""
    with ExitStack() as stack:
        for name in compiled_methods(layer):
            method = getattr(layer, name).python_function
            stack.enter_context(replaced(layer, name, tf.function(method, autograph=True)))
        yield


def _with_batch_statistics(call: Callable[..., Any]) -> Callable[..., Any]:
    def call_in_training(inputs: Any, **kwargs: Any) -> Any:
        return call(inputs, **{**kwargs, "training": True})

    return call_in_training
