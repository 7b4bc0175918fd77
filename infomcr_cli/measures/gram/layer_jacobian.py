"""The exact Jacobian of a single layer: its vector-Jacobian product at each sample, vectorised over samples.

A layer that loops over time is mapped over samples instead: to vectorise a loop and its derivative takes minutes. So is
one that XLA must compile, such as a grouped convolution in one dimension: vectorised, it has no kernel on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from infomcr_cli.measures.gram.trace import COMPILED, TracedCall
from infomcr_cli.measures.loops import without_loop_warnings
from infomcr_cli.models import strided_gradient as _correct_gradients  # noqa: F401 -- registers gradients
from infomcr_cli.models.keras_internals import keras_mask, set_keras_mask

LOOPS = {"While", "StatelessWhile"}


def layer_gradients(
    traced: TracedCall, cotangents: Sequence[tf.Tensor], weights: Sequence[tf.Tensor], kinds: set[str]
) -> list[tf.Tensor]:
    """Return the gradient of each sample by weights used inside one call, each [n, *weight.shape].

    Args:
        traced:     a call whose outputs have one entry a sample.
        cotangents: of each of `traced.output_tensors()`.
        weights:    tensors that the call reads.
        kinds:      types of the operations in the call.
    """
    n = cotangents[0].shape[0]
    flat = keras.tree.flatten((traced.args, traced.kwargs))
    sliced = [i for i, x in enumerate(flat) if tf.is_tensor(x) and x.shape.rank and x.shape[0] == n]
    masks = [keras_mask(flat[i]) for i in sliced]  # an attribute of the tensor, which a slice of it does not have

    def of_one_sample(parts: tuple[list[tf.Tensor], list[tf.Tensor], list[tf.Tensor]]) -> list[tf.Tensor]:
        inputs, given_masks, given = parts
        arguments = list(flat)
        remaining = iter(given_masks)
        for i, x, mask in zip(sliced, inputs, masks, strict=True):
            arguments[i] = x[None]  # a batch of one, [1, ...]
            if mask is not None:
                set_keras_mask(arguments[i], next(remaining)[None])
        args, kwargs = keras.tree.pack_sequence_as((traced.args, traced.kwargs), arguments)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(list(weights))
            called = keras.tree.flatten(traced.call(*args, **kwargs))
            outputs = [y for y in called if tf.is_tensor(y) and y.dtype.is_floating]  # [1, ...] each
            target = tf.add_n([tf.reduce_sum(y * d[None]) for y, d in zip(outputs, given, strict=True)])
        return [tf.convert_to_tensor(g) for g in tape.gradient(target, list(weights), unconnected_gradients="zero")]

    elements = ([flat[i] for i in sliced], [m for m in masks if m is not None], list(cotangents))
    if kinds & (LOOPS | {COMPILED}):
        return _mapped(of_one_sample, elements)
    try:
        with without_loop_warnings():
            return list(tf.vectorized_map(of_one_sample, elements))
    except (ValueError, NotImplementedError, TypeError):  # an operation that cannot be vectorised
        return _mapped(of_one_sample, elements)


def _mapped(function: Callable[[Any], list[tf.Tensor]], elements: Any) -> list[tf.Tensor]:
    # `map_fn` must know the types of the results beforehand; those of one sample show them.
    first = function(tf.nest.map_structure(lambda x: x[0], elements))
    return list(tf.map_fn(function, elements, fn_output_signature=[x.dtype for x in first]))
