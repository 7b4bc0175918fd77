"""Per-sample gradients of one weight, and their products with each other and with the weight, on the host by NumPy.

What one call of a layer contributes is rows written out, or an outer product not yet multiplied out. It may have its
rows in a permuted order of the weights (`Window.arranged` applies the same order to the weights): a permutation of the
columns of J leaves G as it is.

`device_products.DeviceProducts` gives the same products by TensorFlow, on the device that computed the gradients: the
records then hold tensors, of which only `first` may be called.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from infomcr_cli.measures.gram.im2col import Window, convolution_rows
from infomcr_cli.measures.gram.parts import Part

if TYPE_CHECKING:
    import tensorflow as tf

Array = NDArray[np.float64]
WHOLE = Part(0)
SIDES = ("left", "right")  # of an outer product
PANEL = 2048  # columns that are turned to float64 at a time: 100 of them stay in a core's cache


@dataclass(frozen=True)
class OuterProduct:
    """Gradient Σ_t left_t ⊗ right_t of a matrix or of a convolution's kernel.

    Args:
        left:   the layer's input, [n, T, a], or for a convolution [n, height, width, channels].
        right:  the cotangent of its output, [n, T, k], or [n, height, width, filters].
        window: the convolution's geometry; None for a matrix product.
    """

    left: Any
    right: Any
    window: Window | None = None

    @property
    def stays_factored(self) -> bool:
        """Whether the product is cheaper to keep and to multiply than its rows."""
        if self.window is not None:
            return False
        n, steps, inputs = self.left.shape
        outputs = self.right.shape[2]
        written_out = 2 * n * steps * inputs * outputs + n * n * inputs * outputs  # multiplications
        is_faster = n * n * steps * steps * (inputs + outputs) < written_out
        is_smaller = steps * (inputs + outputs) < inputs * outputs
        return bool(is_faster and is_smaller)

    def rows(self) -> Array:
        """Return the gradients written out, [n, weights]."""
        if self.window is not None:
            return convolution_rows(self.left, self.right, self.window)
        return np.matmul(self.left.transpose(0, 2, 1), self.right).reshape(len(self.left), -1)  # from [n, a, k]

    def first(self, count: int) -> OuterProduct:
        """Return the part of the first samples."""
        return replace(self, left=self.left[:count], right=self.right[:count])

    def in_kernel_order(self) -> Array:
        """Return the rows in the order of the kernel itself, [n, weights]."""
        rows = self.rows()
        return rows if self.window is None else rows[:, self.kernel_order()]

    def kernel_order(self) -> NDArray[np.int64]:
        """Return the columns that the rows of a convolution have at each place of its kernel, [weights]."""
        assert self.window is not None
        channels, filters = self.left.shape[3] // self.window.groups, self.right.shape[3]
        shape = *self.window.size, channels, filters
        # Arranged, the places say which one each column holds; `argsort` inverts the permutation.
        return np.argsort(self.window.arranged(np.arange(np.prod(shape)).reshape(shape)))


@dataclass(frozen=True)
class Rows:
    """Gradients written out, [n, weights], in the kernel's own order or in that of a window."""

    array: Array
    window: Window | None = None
    stays_factored = False

    def first(self, count: int) -> Rows:
        """Return the part of the first samples."""
        return replace(self, array=self.array[:count])

    def rows(self) -> Array:
        """Return the rows, [n, weights]."""
        return self.array.reshape(len(self.array), -1)

    def in_kernel_order(self) -> Array:
        """Return the rows with the weights as the kernel has them, [n, weights]."""
        return self.rows()


Contribution = OuterProduct | Rows


class Products(Protocol):
    """Where per-sample gradients are held, written out and multiplied.

    Args:
        workers: threads that write out and multiply; each multiplies with one.
    """

    workers: int

    def held(self, tensor: tf.Tensor) -> Any:
        """Return what a pass has computed in the form in which it is kept."""

    def joined(self, chunks: Sequence[Any]) -> Any:
        """Return what several chunks of samples gave, [n, ...] each, as one."""

    def compact(self, contributions: Sequence[Contribution], part: Part = WHOLE) -> Contribution:
        """Return the sum of the contributions of several calls, in the form that is cheapest to keep."""

    def gram(self, blocks: Sequence[Contribution], kernel: Any, part: Part = WHOLE) -> tuple[Array, Array]:
        """Return the products of all pairs of rows of several blocks [n, n], and of rows and kernel [n].

        Both are accumulated in float64: they are exact for rows that are given in float32.

        Args:
            blocks: compact contributions.
            kernel: the weight's value, held.
            part:   the columns that the blocks hold.
        """


class HostProducts:
    """By NumPy, on every core of the process, one weight on each."""

    def __init__(self) -> None:
        has_affinity = hasattr(os, "sched_getaffinity")
        self.workers = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1

    def held(self, tensor: tf.Tensor) -> NDArray[Any]:
        """Return a tensor as an array, on a CPU without the copy that `Tensor.numpy` makes."""
        return np.asarray(memoryview(tensor)) if "CPU" in tensor.device else tensor.numpy()

    def joined(self, chunks: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Concatenate."""
        return np.concatenate(chunks) if len(chunks) > 1 else chunks[0]

    def compact(self, contributions: Sequence[Contribution], part: Part = WHOLE) -> Contribution:
        """Return the sum as rows, or as one outer product."""
        whole: Contribution
        if len(contributions) == 1:
            (whole,) = contributions
        elif are_matrix_products(contributions):  # the positions of all calls, [n, T₁ + T₂ + …, a or k]
            left, right = (np.concatenate([getattr(c, side) for c in contributions], axis=1) for side in SIDES)
            whole = OuterProduct(left, right)
        else:
            whole = Rows(reduce(np.add, (c.in_kernel_order() for c in contributions)))
        if part.stop is not None:
            # A copy: a view would keep the columns of all parts in memory.
            return Rows(np.ascontiguousarray(whole.rows()[:, part.start : part.stop]), whole.window)
        return whole if whole.stays_factored else Rows(whole.rows(), whole.window)

    def gram(self, blocks: Sequence[Contribution], kernel: NDArray[Any], part: Part = WHOLE) -> tuple[Array, Array]:
        """Return both products."""
        if all(isinstance(b, OuterProduct) for b in blocks):
            left, right = (np.concatenate([getattr(b, side) for b in blocks]) for side in SIDES)
            return gram_of_factors(left, right, kernel)  # of [N, T, a] and [N, T, k]
        window = blocks[0].window
        weights = window.arranged(kernel) if window is not None else kernel.reshape(-1)
        return gram_of_rows([b.rows() for b in blocks], weights[part.start : part.stop])


def are_matrix_products(parts: Sequence[Contribution]) -> bool:
    """Return whether all are outer products of matrices, which add up to one of more positions."""
    return all(isinstance(p, OuterProduct) and p.window is None for p in parts)


def gram_of_factors(left: Array, right: Array, kernel: Array) -> tuple[Array, Array]:
    """Return the products of Σ_t left_t ⊗ right_t with each other and with a kernel, without writing the rows out.

    Args:
        left, right: [n, T, a] and [n, T, k].
        kernel:      [a, k].

    Returns:
        (Σ_ts (left_it·left_js)(right_it·right_js), [n, n]; [n]), float64.
    """
    n, steps = left.shape[:2]
    left, right, kernel = (x.astype(np.float64) for x in (left, right, kernel))
    along = np.einsum("nta,nta->n", left, right @ kernel.T)  # Σ_t left_tᵀ K right_t
    left, right = (x.reshape(n * steps, -1) for x in (left, right))
    # Entry (it, js) of [n·T, n·T] is (left_it·left_js)(right_it·right_js); positions are summed.
    return ((left @ left.T) * (right @ right.T)).reshape(n, steps, n, steps).sum(axis=(1, 3)), along


def gram_of_rows(blocks: Sequence[Array], weights: Array) -> tuple[Array, Array]:
    """Return rows · rowsᵀ and rows · weights, accumulated in float64: exact for rows that are given in float32.

    Args:
        blocks:  rows of several blocks of samples, [n, columns] each.
        weights: [columns].

    Returns:
        ([n, n]; [n]), float64.
    """
    count = sum(map(len, blocks))
    total = np.zeros((count + 1, count + 1))
    for start in range(0, len(weights), PANEL):
        columns = slice(start, start + PANEL)
        # The weights are one more row, so that one symmetric product gives both.
        panel = np.concatenate([*(rows[:, columns] for rows in blocks), weights[None, columns]], dtype=np.float64)
        total += panel @ panel.T
    return total[:count, :count], total[:count, count]


def single_threaded_products() -> threadpool_limits:
    """Keep BLAS from sharing a product among threads: products here are small, and threads would wait for each other.

    On a machine with other work the waiting costs a factor of ten and more.
    """
    return threadpool_limits(1, user_api="blas")
