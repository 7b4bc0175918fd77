"""Mean cross-entropy of a network on fixed samples, as a function of its trainable weights.

All measures that need the loss, its gradient or its curvature at and around the network's weights share one surface.
Batch norm is in inference mode.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import cached_property, partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from infomcr_cli.data.labels import class_indices
from infomcr_cli.measures.cross_entropy import accuracy, mean_loss, tensor_losses
from infomcr_cli.measures.samples import checked_samples, take
from infomcr_cli.measures.stateless import (
    complete,
    float_weights,
    in_precision,
    measurement_scope,
    natural_precision,
    trainable_weights,
)
from infomcr_cli.models.keras_internals import twice_differentiable_moments
from infomcr_cli.models.traced import Traced

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
Readout = Callable[[tf.Tensor], tf.Tensor]
SMALLEST_SQUARE = 1e-20  # of the length of a vector of logits that is normalised
FEW = 100  # samples for a rough number
DIFFERENTIATED_BLOCK = 64  # images in one pass that keeps its activations


class LossSurface:
    """L(w), its gradient and its Hessian-vector products; the network itself is never touched.

    Args:
        model:      maps a sample to logits; its present weights are read once, at the first use.
        images:     what the model takes, [N, ...].
        labels:     true classes, [N].
        batch_size: images in one forward pass.
        precision:  `float32` or `float64`; None takes that of the model. Losses are summed in float64 in any case.
        readout:    a function of the module level that maps the model's logits to those that the loss is taken of, in
                    TensorFlow; None: they are taken as they are.

    Example:
        surface = LossSurface(model, images, labels)
        surface.loss(), surface.loss(surface.weights + step), surface.hessian_product(step)
    """

    def __init__(
        self,
        model: keras.Model,
        images: Any,
        labels: Any,
        *,
        batch_size: int = 500,
        precision: str | None = None,
        readout: Readout | None = None,
    ) -> None:
        self.images, given = checked_samples(images, labels)
        self.labels = class_indices(given, classes=complete(model, self.images))
        self.model, self._batch_size = model, batch_size
        self._passes = passes_of(model, precision or natural_precision(model), readout)
        self._sizes = sizes_of(self._passes.trainable)

    @property
    def size(self) -> int:
        """W, the number of trainable weights."""
        return sum(self._sizes)

    @property
    def precision(self) -> str:
        """`float32` or `float64`, in which the network computes here."""
        return self._passes.precision

    @cached_property
    def weights(self) -> Array:
        """w, the network's trainable weights in the order of the model, flat, [W], float64."""
        return self.flat([np.asarray(v) for v in self._passes.trainable])

    @cached_property
    def clean_logits(self) -> Array:
        """Logits at the network's weights, [N, C], float64."""
        return self.logits(self.weights)

    @cached_property
    def clean_gradient(self) -> tuple[float, Array]:
        """L, nats, and ∇L [W] at the network's weights, on all samples."""
        return self.loss_and_gradient(self.weights)

    def flat(self, arrays: Sequence[Any]) -> Array:
        """Return one array for each trainable weight as a single vector, [W]; W is 0 if there is none."""
        return np.concatenate([np.zeros(0), *(np.asarray(a, np.float64).reshape(-1) for a in arrays)])

    def logits(self, weights: Array, indices: Indices | None = None) -> Array:
        """Return logits at `weights` [W], on the samples `indices` or on all, [n, C], float64."""
        values, parts = self._values(weights), self._parts(indices, self._batch_size)
        return np.concatenate([self._passes.logits(values, images).numpy() for images, _ in parts])

    def loss(self, weights: Array, indices: Indices | None = None) -> float:
        """Return L at `weights` [W], on the samples `indices` or on all, nats."""
        return mean_loss(self.logits(weights, indices), self.labels if indices is None else self.labels[indices])

    def accuracy(self, weights: Array, indices: Indices | None = None) -> float:
        """Return the share of the samples, or of `indices`, that are classified correctly at `weights` [W], 0..1."""
        return accuracy(self.logits(weights, indices), self.labels if indices is None else self.labels[indices])

    def map_images(self, function: Callable[[keras.Model, Any], Any]) -> list[Any]:
        """Return `function(model, images)` at the network's weights, a structure of arrays for each part of the images.

        It is compiled once for all checkpoints of a network if it is the same function each time.
        """
        compiled, values = self._passes.traced(function), self._values(self.weights)
        parts = [compiled(values, images) for images, _ in self._parts(None, self._batch_size)]
        return keras.tree.map_structure(np.asarray, parts)

    def map_samples(self, function: Callable[[keras.Model, Any], Any]) -> list[Any]:
        """Return `function(model, (images, labels))` as `map_images` does, on parts small enough to differentiate."""
        compiled, values = self._passes.traced(function), self._values(self.weights)
        parts = [compiled(values, part) for part in self._parts(None, DIFFERENTIATED_BLOCK)]
        return keras.tree.map_structure(np.asarray, parts)

    def map_differentiated(self, function: Callable[[keras.Model, Any, Any], Any], along: Array) -> list[Array]:
        """Return `function(model, images, along)` at the network's weights for each part, small enough for derivatives.

        Args:
            function: compiled once for all checkpoints of a network if it is the same function each time.
            along:    an array that goes with the samples, [N, ...].
        """
        compiled, values = self._passes.traced(function), self._values(self.weights)
        order = np.arange(len(self.labels))
        parts = np.array_split(order, -(-len(order) // DIFFERENTIATED_BLOCK))
        return [np.asarray(compiled(values, take(self.images, part), along[part])) for part in parts]

    def loss_and_gradient(self, weights: Array, indices: Indices | None = None) -> tuple[float, Array]:
        """Return L, nats, and ∇L [W] at `weights` [W], on the samples `indices` or on all."""
        values, loss, gradient = self._values(weights), 0.0, np.zeros(self.size)
        for images, labels in self._parts(indices, DIFFERENTIATED_BLOCK):
            of_part, parts = self._passes.gradient(values, images, labels)  # sums over the samples of the part
            loss, gradient = loss + float(of_part), gradient + self.flat(parts)
        count = len(self.labels) if indices is None else len(indices)
        return loss / count, gradient / count

    def hessian_product(self, vector: Array) -> Array:
        """Return H v, H the Hessian of L on all samples at the network's weights, [W]."""
        return self._hessian_product(vector, np.arange(len(self.labels)))

    def hessian_parts(self, count: int) -> list[Callable[[Array], Array]]:
        """Return v -> H_b v for each of at least `count` parts of the samples, or of single ones; Σ_b H_b = H."""
        pieces = min(len(self.labels), max(count, -(-len(self.labels) // DIFFERENTIATED_BLOCK)))
        parts = np.array_split(np.arange(len(self.labels)), pieces)
        return [partial(self._hessian_product, indices=part) for part in parts]

    def _hessian_product(self, vector: Array, indices: Indices) -> Array:
        values, tangents, total = self._values(self.weights), self._split(vector), np.zeros(self.size)
        for images, labels in self._parts(indices, DIFFERENTIATED_BLOCK):
            total += self.flat(self._passes.hessian_product(values, tangents, images, labels))
        return total / len(self.labels)  # of all samples, so that the parts of H add up to H

    def few(self) -> Indices:
        """Return the samples for rough numbers: every fourth, or all if they are few."""
        count = len(self.labels)
        return np.arange(0, count, 4 if count >= 4 * FEW else 1)

    def sub_batches(self, size: int) -> list[Indices]:
        """Return the samples in consecutive sub-batches of `size`; a short last one is dropped unless it is alone."""
        order = np.arange(len(self.labels))
        whole = [order[start : start + size] for start in range(0, len(order) - size + 1, size)]
        return whole or [order]

    def _parts(self, indices: Indices | None, size: int) -> Iterator[tuple[Any, NDArray[np.int32]]]:
        """Yield samples in parts of nearly one length."""
        order = np.arange(len(self.labels)) if indices is None else indices
        for part in np.array_split(order, -(-len(order) // size)):
            yield take(self.images, part), self.labels[part]

    def _split(self, vector: Array) -> list[tf.Tensor]:
        # One piece [entries] for each weight; behind the last end there is an empty one.
        pieces, passes = np.split(np.asarray(vector), np.cumsum(self._sizes, dtype=int))[:-1], self._passes
        return [
            tf.constant(p.reshape(v.shape), passes.precision) for p, v in zip(pieces, passes.trainable, strict=True)
        ]

    def _values(self, weights: Array) -> list[tf.Tensor]:
        return self._passes.values(self._split(weights))


def normalised(logits: tf.Tensor) -> tf.Tensor:
    """Return (z - z̄) / ‖z - z̄‖₂ of logits z [n, C]: their scale, which raises confidence alone, is gone.

    Logits that are all equal become 0.

    Source: Andriushchenko et al., 2023, arXiv:2302.07011, as in their code.
    """
    centred = logits - tf.reduce_mean(logits, axis=1, keepdims=True)  # [n, C]
    # The bound is inside of the root, whose derivative at 0 is infinite.
    return centred / tf.sqrt(tf.maximum(tf.reduce_sum(centred**2, axis=1, keepdims=True), SMALLEST_SQUARE))


Tensors = list[tf.Tensor]


class SurfacePasses:
    """Functions of one network, compiled at their first use; batch norm is in inference mode.

    Args:
        model:     maps a sample to logits; never touched.
        precision: `float32` or `float64`; logits and losses are float64 in any case.
        readout:   see `LossSurface`.
    """

    def __init__(self, model: keras.Model, precision: str, readout: Readout | None = None) -> None:
        self.model, self.precision, self.readout = model, precision, readout
        self.variables = float_weights(model)
        self.trainable = trainable_weights(model)
        self.logits, self.gradient = Traced(self._logits), Traced(self._gradient)
        self.hessian_product = Traced(self._hessian_product)
        self._others: dict[Callable[..., Any], Traced] = {}

    def fits(self, model: keras.Model) -> bool:
        """Return whether these are the passes of a model whose trainable weights are still the same ones."""
        same = [id(v) for v in trainable_weights(model)] == [id(v) for v in self.trainable]
        return self.model is model and same

    def values(self, weights: Sequence[Any]) -> Tensors:
        """Return values of all floating-point variables: the trainable ones as given, statistics as they are."""
        rest = self.variables[len(self.trainable) :]  # `float_weights` gives the trainable ones first
        return [tf.cast(w, self.precision) for w in [*weights, *(tf.convert_to_tensor(v.value) for v in rest)]]

    def scope(self, values: Tensors) -> AbstractContextManager[None]:
        """Run the model inside at `values`."""
        return measurement_scope(
            self.model, list(zip(self.variables, values, strict=True)), self.precision, "inference"
        )

    def traced(self, function: Callable[..., Any]) -> Traced:
        """Return `function(model, images, ...)` as a compiled function of values, images and the rest, made once."""

        def at(values: Tensors, images: Any, *others: Any) -> Any:
            with self.scope(values):
                return function(self.model, in_precision(images, self.precision), *others)

        if function not in self._others:
            self._others[function] = Traced(at)
        return self._others[function]

    def _logits(self, values: Tensors, images: Any) -> tf.Tensor:
        with self.scope(values):
            logits = tf.cast(self.model(in_precision(images, self.precision), training=False), tf.float64)
        return logits if self.readout is None else self.readout(logits)

    def _gradient(self, values: Tensors, images: Any, labels: tf.Tensor) -> tuple[tf.Tensor, Tensors]:
        """Return the summed loss and its gradient, float64."""
        loss, gradient, factor = self._enlarged_gradient(values, images, labels)
        return loss, _reduced(gradient, factor)

    def _enlarged_gradient(
        self, values: Tensors, images: Any, labels: tf.Tensor
    ) -> tuple[tf.Tensor, Tensors, tf.Tensor]:
        """Return the summed loss, its gradient times a factor, and that factor."""
        wanted = values[: len(self.trainable)]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(wanted)
            losses = tensor_losses(self._logits(values, images), labels)  # [n]
            factor = _factor(losses)
            loss = tf.reduce_sum(losses)
            enlarged = factor * loss
        return loss, _dense(tape.gradient(enlarged, wanted, unconnected_gradients="zero")), factor

    def _hessian_product(self, values: Tensors, tangents: Tensors, images: Any, labels: tf.Tensor) -> Tensors:
        wanted = values[: len(self.trainable)]
        with tf.GradientTape(watch_accessed_variables=False) as tape, twice_differentiable_moments():
            tape.watch(wanted)
            _, gradient, factor = self._enlarged_gradient(values, images, labels)
            # gᵀv, whose gradient is H v: H itself, [W, W], is never formed.
            along = tf.add_n([tf.reduce_sum(g * t) for g, t in zip(gradient, tangents, strict=True)])
        return _reduced(_dense(tape.gradient(along, wanted, unconnected_gradients="zero")), factor)


def _factor(losses: tf.Tensor) -> tf.Tensor:
    """Return a power of two that brings the greatest of small losses near 1: below 1e-38 gradients are 0 in float32.

    A power of two changes no digit of a gradient that is not that small.
    """
    greatest = tf.reduce_max(losses)
    exponent = tf.where(greatest > 0, tf.floor(tf.math.log(greatest) / np.log(2.0)), 0.0)
    return tf.stop_gradient(2.0 ** -tf.clip_by_value(exponent, -1000.0, 0.0))


def _reduced(parts: Tensors, factor: tf.Tensor) -> Tensors:
    """Divide by a factor, in float64."""
    return [tf.cast(one, tf.float64) / factor for one in parts]


def _dense(gradient: Sequence[Any]) -> Tensors:
    """Return gradients as tensors: that of an embedding comes as `IndexedSlices`, its rows that were read."""
    return [tf.convert_to_tensor(one) for one in gradient]


_latest: list[SurfacePasses] = []


def passes_of(model: keras.Model, precision: str, readout: Readout | None = None) -> SurfacePasses:
    """Return the passes of a model; those of the latest are kept, since checkpoints of one run share them."""
    _latest[:] = [passes for passes in _latest if passes.fits(model)]
    for passes in _latest:
        if (passes.precision, passes.readout) == (precision, readout):
            return passes
    _latest.append(SurfacePasses(model, precision, readout))
    return _latest[-1]


def sizes_of(variables: Sequence[keras.Variable]) -> list[int]:
    """Return the number of entries of each variable."""
    return [int(np.prod(v.shape)) for v in variables]
