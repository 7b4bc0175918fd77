"""Compiled passes over a block of samples at given weights: logits, gradient of the loss, Hessian-vector product."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from infomcr_cli.measures.forward import float_weights, in_precision, measurement_scope, trainable_weights
from infomcr_cli.models.moments import twice_differentiable_moments

Tensors = list[tf.Tensor]


class SurfacePasses:
    """Three functions of one network, compiled at their first use; batch norm is in inference mode.

    Args:
        model:     maps a sample to logits; never touched.
        precision: `float32` or `float64`; logits and losses are float64 in any case.
    """

    def __init__(self, model: keras.Model, precision: str) -> None:
        self.model, self.precision = model, precision
        self.variables = float_weights(model)
        self.trainable = trainable_weights(model)
        self.logits = tf.function(self._logits, autograph=False, reduce_retracing=True)
        self.gradient = tf.function(self._gradient, autograph=False, reduce_retracing=True)
        self.hessian_product = tf.function(self._hessian_product, autograph=False, reduce_retracing=True)

    def values(self, weights: Sequence[Any]) -> Tensors:
        """Return values of all floating-point variables: the trainable ones as given, statistics as they stand."""
        rest = self.variables[len(self.trainable) :]
        return [tf.cast(w, self.precision) for w in [*weights, *(tf.convert_to_tensor(v.value) for v in rest)]]

    def scope(self, values: Tensors) -> AbstractContextManager[None]:
        """Run the model inside at `values`."""
        return measurement_scope(
            self.model, list(zip(self.variables, values, strict=True)), self.precision, "inference"
        )

    def _logits(self, values: Tensors, images: Any) -> tf.Tensor:
        with self.scope(values):
            return tf.cast(self.model(in_precision(images, self.precision), training=False), tf.float64)

    def _gradient(self, values: Tensors, images: Any, labels: tf.Tensor) -> tuple[tf.Tensor, Tensors]:
        """The summed loss and its gradient."""
        wanted = values[: len(self.trainable)]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(wanted)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, self._logits(values, images))
            loss = tf.reduce_sum(losses)
        return loss, _dense(tape.gradient(loss, wanted, unconnected_gradients="zero"))

    def _hessian_product(self, values: Tensors, tangents: Tensors, images: Any, labels: tf.Tensor) -> Tensors:
        wanted = values[: len(self.trainable)]
        with tf.GradientTape(watch_accessed_variables=False) as tape, twice_differentiable_moments():
            tape.watch(wanted)
            _, gradient = self._gradient(values, images, labels)
            along = tf.add_n([tf.reduce_sum(g * t) for g, t in zip(gradient, tangents, strict=True)])
        return _dense(tape.gradient(along, wanted, unconnected_gradients="zero"))


def _dense(gradient: Sequence[Any]) -> Tensors:
    """The gradient of an embedding comes as its rows that were looked up."""
    return [tf.convert_to_tensor(one) for one in gradient]


_latest: list[SurfacePasses] = []


def passes_of(model: keras.Model, precision: str) -> SurfacePasses:
    """Return the passes of a model; the latest are kept, since checkpoints of one run share them."""
    if not _latest or _latest[0].model is not model or _latest[0].precision != precision:
        _latest[:] = [SurfacePasses(model, precision)]
    return _latest[0]


def sizes_of(variables: Sequence[keras.Variable]) -> list[int]:
    """Return the number of entries of each variable."""
    return [int(np.prod(v.shape)) for v in variables]
