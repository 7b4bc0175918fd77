"""The operators whose spectra are estimated: the Hessian of the loss, and G/N from the gradients of single samples.

| symbol | meaning | shape |
| --- | --- | --- |
| H | Hessian of the mean cross-entropy at w | [W, W] |
| J | row i is ∂ℓ_i/∂w | [N, W] |
| G = J Jᵀ | Gram matrix; G/N has the spectrum of the observed Fisher information JᵀJ/N but for zeros | [N, N] |

(G/N) u takes two passes over the samples: one backwards for Jᵀu, one along it for J(Jᵀu), the derivative of cᵀ∂z/∂w
with respect to c. ∂ℓ/∂z is taken in float64 and free of cancellation, as in the measures of G.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from infomcr_cli.measures.cross_entropy import loss_derivative
from infomcr_cli.measures.loss_surface import LossSurface, SurfacePasses, passes_of
from infomcr_cli.measures.samples import take
from infomcr_cli.measures.stateless import in_precision, natural_precision
from infomcr_cli.models.traced import Traced

Array = NDArray[np.float64]
Product = Callable[[Array], Array]
Tensors = list[tf.Tensor]
BLOCK = 64  # images in one pass that keeps its activations


def operator(surface: LossSurface, name: str) -> tuple[Product, int]:
    """Return an operator as a product with vectors, and its size.

    Args:
        surface: the loss at a network's weights.
        name:    "hessian": H [W, W]; "fisher": G/N [N, N].
    """
    if name == "hessian":
        return surface.hessian_product, surface.size
    return GramProduct(surface), len(surface.labels)


class GramProduct:
    """u -> (G/N) u at the present weights of a network, batch norm in inference mode, raw logits."""

    def __init__(self, surface: LossSurface) -> None:
        self._surface = surface
        self._passes = passes_of(surface.model, natural_precision(surface.model))
        self._values = self._passes.values([tf.convert_to_tensor(v.value) for v in self._passes.trainable])
        self._backwards, self._along = Traced(self._weighted_gradient), Traced(self._derivatives)

    def __call__(self, vector: Array) -> Array:
        """Return (G/N) u, [N]."""
        order = np.arange(len(self._surface.labels))
        parts = np.array_split(order, -(-len(order) // BLOCK))
        total = [np.zeros(v.shape) for v in self._passes.trainable]
        for part in parts:
            gradient = self._backwards(self._values, *self._samples(part), vector[part])
            total = [sum_ + np.asarray(one, np.float64) for sum_, one in zip(total, gradient, strict=True)]
        tangents = [tf.constant(one, self._passes.precision) for one in total]  # Jᵀu, summed in float64
        found = [np.asarray(self._along(self._values, *self._samples(part), tangents)) for part in parts]
        return np.concatenate(found) / len(vector)

    def _samples(self, part: NDArray[np.int64]) -> tuple[Any, Any]:
        return take(self._surface.images, part), self._surface.labels[part]

    def _weighted_gradient(self, values: Tensors, images: Any, labels: tf.Tensor, factors: tf.Tensor) -> Tensors:
        """Return Σ_i u_i ∂ℓ_i/∂w over some samples."""
        wanted = values[: len(self._passes.trainable)]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(wanted)
            logits = _logits(self._passes, values, images)
        outwards = _slopes(logits, labels) * factors[:, None]  # u_i ∂ℓ_i/∂z_i, [n, C]
        return _dense(tape.gradient(logits, wanted, outwards, unconnected_gradients="zero"))

    def _derivatives(self, values: Tensors, images: Any, labels: tf.Tensor, tangents: Tensors) -> tf.Tensor:
        """Return (∂ℓ_i/∂w)ᵀ t of some samples, [n]."""
        wanted = values[: len(self._passes.trainable)]
        with tf.GradientTape(watch_accessed_variables=False) as outer:
            with tf.GradientTape(watch_accessed_variables=False) as inner:
                inner.watch(wanted)
                logits = _logits(self._passes, values, images)
            any_ = tf.zeros_like(logits)  # c: what stands here changes nothing, for the gradient is linear in it
            outer.watch(any_)
            gradient = _dense(inner.gradient(logits, wanted, any_, unconnected_gradients="zero"))
            # cᵀ(∂z/∂w t), whose derivative by c is the forward derivative: no forward mode is needed.
            along = tf.add_n([tf.reduce_sum(g * t) for g, t in zip(gradient, tangents, strict=True)])
        moved = outer.gradient(along, any_, unconnected_gradients="zero")  # ∂z/∂w t, [n, C]
        return tf.reduce_sum(_slopes(logits, labels) * moved, axis=1)


def _logits(passes: SurfacePasses, values: Tensors, images: Any) -> tf.Tensor:
    with passes.scope(values):
        return tf.cast(passes.model(in_precision(images, passes.precision), training=False), tf.float64)


def _slopes(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Return ∂ℓ_i/∂z_i, [n, C]."""
    found = loss_derivative(logits, labels)
    return found.direction * tf.exp(found.log_length)[:, None]


def _dense(gradient: Any) -> Tensors:
    """Return gradients as tensors: that of an embedding comes as `IndexedSlices`, its rows that were read."""
    return [tf.convert_to_tensor(one) for one in gradient]
