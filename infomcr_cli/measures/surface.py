"""Mean cross-entropy of a network on fixed samples, as a function of its trainable weights.

All measures that ask for the loss, its gradient or its curvature at and around the minimum share one surface. Batch
norm is in inference mode.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from infomcr_cli.data.classes import class_indices
from infomcr_cli.measures.forward import complete, in_precision, natural_precision
from infomcr_cli.measures.samples import checked_samples, taken
from infomcr_cli.measures.scores import mean_loss
from infomcr_cli.measures.surface_passes import passes_of, sizes_of

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
DIFFERENTIATED_BLOCK = 64  # images in one pass that keeps its activations


class LossSurface:
    """L(w), its gradient and its Hessian-vector products; the network itself is never touched.

    Args:
        model:      maps a sample to logits; its present weights are taken once, at the first use.
        images:     what the model takes, [N, ...].
        labels:     true classes, [N].
        batch_size: images in one forward pass.
        precision:  `float32` or `float64`; None takes that of the model. Losses are summed in float64 in any case.
    Example:
        surface = LossSurface(model, images, labels)
        surface.loss(), surface.loss(surface.weights + step), surface.hessian_product(step)
    """

    def __init__(
        self, model: keras.Model, images: Any, labels: Any, *, batch_size: int = 500, precision: str | None = None
    ) -> None:
        self.images, given = checked_samples(images, labels)
        self.labels = class_indices(given, classes=complete(model, self.images))
        self.model, self._batch_size = model, batch_size
        self._passes = passes_of(model, precision or natural_precision(model))
        self._sizes = sizes_of(self._passes.trainable)

    @property
    def size(self) -> int:
        """W, the number of trainable weights."""
        return sum(self._sizes)

    @cached_property
    def weights(self) -> Array:
        """w, the trainable weights at the minimum in the order of the model, flat, [W], float64."""
        return self.flat([np.asarray(v) for v in self._passes.trainable])

    @cached_property
    def clean_logits(self) -> Array:
        """Logits at the minimum, [N, C], float64."""
        return self.logits(self.weights)

    def flat(self, arrays: Sequence[Any]) -> Array:
        """Return one array for each trainable weight as a single vector, [W]."""
        return np.concatenate([np.asarray(a, np.float64).reshape(-1) for a in arrays])

    def logits(self, at: Array, indices: Indices | None = None) -> Array:
        """Return logits at weights `at` [W], on the samples `indices` or on all, [n, C], float64."""
        values, parts = self._values(at), self._parts(indices, self._batch_size)
        return np.concatenate([self._passes.logits(values, images).numpy() for images, _ in parts])

    def loss(self, at: Array, indices: Indices | None = None) -> float:
        """Return L at weights `at` [W], on the samples `indices` or on all, nats."""
        return mean_loss(self.logits(at, indices), self.labels if indices is None else self.labels[indices])

    def watched(self, function: Callable[[Any], Any]) -> list[Any]:
        """Return what `function(images)` gives at the minimum, one structure of arrays for each part of the samples."""

        def inside(values: list[tf.Tensor], images: Any) -> Any:
            with self._passes.scope(values):
                return function(in_precision(images, self._passes.precision))

        compiled, values = tf.function(inside, autograph=False, reduce_retracing=True), self._values(self.weights)
        parts = [compiled(values, images) for images, _ in self._parts(None, self._batch_size)]
        return keras.tree.map_structure(np.asarray, parts)

    def loss_and_gradient(self, at: Array, indices: Indices | None = None) -> tuple[float, Array]:
        """Return L, nats, and ∇L [W] at weights `at`, on the samples `indices` or on all."""
        values, loss, gradient = self._values(at), 0.0, np.zeros(self.size)
        for images, labels in self._parts(indices, DIFFERENTIATED_BLOCK):
            of_part, parts = self._passes.gradient(values, images, labels)
            loss, gradient = loss + float(of_part), gradient + self.flat(parts)
        count = len(self.labels) if indices is None else len(indices)
        return loss / count, gradient / count

    def hessian_product(self, vector: Array) -> Array:
        """Return H v at the minimum, H the Hessian of L on all samples, [W]."""
        values, tangents, total = self._values(self.weights), self._split(vector), np.zeros(self.size)
        for images, labels in self._parts(None, DIFFERENTIATED_BLOCK):
            total += self.flat(self._passes.hessian_product(values, tangents, images, labels))
        return total / len(self.labels)

    def sub_batches(self, size: int) -> list[Indices]:
        """Return the samples in consecutive sub-batches of `size`; a short last one counts only where it is alone."""
        order = np.arange(len(self.labels))
        whole = [order[start : start + size] for start in range(0, len(order) - size + 1, size)]
        return whole or [order]

    def _parts(self, indices: Indices | None, size: int) -> Iterator[tuple[Any, NDArray[np.int32]]]:
        """Yield samples in parts of nearly one length."""
        order = np.arange(len(self.labels)) if indices is None else indices
        for part in np.array_split(order, -(-len(order) // size)):
            yield taken(self.images, part), self.labels[part]

    def _split(self, vector: Array) -> list[tf.Tensor]:
        pieces, passes = np.split(np.asarray(vector), np.cumsum(self._sizes)[:-1]), self._passes
        return [
            tf.constant(p.reshape(v.shape), passes.precision) for p, v in zip(pieces, passes.trainable, strict=True)
        ]

    def _values(self, at: Array) -> list[tf.Tensor]:
        return self._passes.values(self._split(at))
