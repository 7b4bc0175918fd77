"""Per-sample gradients of one variable from one call: rows written out, or an outer product not yet multiplied out.

Pure NumPy. A contribution may have its rows in a permuted order of the weights (`arranged` applies the same order to
the weights): a permutation of the columns of J leaves G as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.measures.gram.im2col import Window, convolution_rows

Array = NDArray[Any]
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

    def rows(self) -> Array:
        """Return the gradients written out, [n, weights]."""
        if self.window is not None:
            return convolution_rows(self.left, self.right, self.window)
        return np.matmul(self.left.transpose(0, 2, 1), self.right).reshape(len(self.left), -1)

    def compact(self) -> OuterProduct | Rows:
        """Return whichever is cheaper to keep and multiply: this product or its rows."""
        if self.window is not None:
            return Rows(self.rows(), self.window)
        n, steps, inputs = self.left.shape
        outputs = self.right.shape[2]
        written_out = 2 * n * steps * inputs * outputs + n * n * inputs * outputs  # multiplications
        is_faster = n * n * steps * steps * (inputs + outputs) < written_out
        is_smaller = steps * (inputs + outputs) < inputs * outputs
        return self if is_faster and is_smaller else Rows(self.rows(), self.window)

    def first(self, count: int) -> OuterProduct:
        """Return the part of the first samples."""
        return replace(self, left=self.left[:count], right=self.right[:count])

    def in_kernel_order(self) -> Array:
        """Return the rows in the order of the kernel itself, [n, weights]."""
        rows = self.rows()
        if self.window is None:
            return rows
        channels, filters = self.left.shape[3] // self.window.groups, self.right.shape[3]
        order = np.arange(rows.shape[1]).reshape(*self.window.size, channels, filters)
        return rows[:, np.argsort(self.window.arranged(order))]

    def gram(self) -> Array:
        """Return Σ_ts (left_it·left_js)(right_it·right_js), [n, n], without writing the rows out."""
        n, steps = self.left.shape[:2]
        left, right = (x.reshape(n * steps, -1).astype(np.float64) for x in (self.left, self.right))
        return ((left @ left.T) * (right @ right.T)).reshape(n, steps, n, steps).sum(axis=(1, 3))

    def times(self, weights: Array, start: int = 0, stop: int | None = None) -> Array:
        """Return the gradients' products with a kernel, [n]."""
        left, right, kernel = (x.astype(np.float64) for x in (self.left, self.right, weights))
        return np.einsum("nta,nta->n", left, right @ kernel.T)


@dataclass(frozen=True)
class Rows:
    """Gradients written out, [n, weights], in the kernel's own order or in that of a window."""

    array: Array
    window: Window | None = None

    def compact(self) -> Rows:
        """Return the same rows as a matrix, [n, weights]."""
        return replace(self, array=self.rows())

    def first(self, count: int) -> Rows:
        """Return the part of the first samples."""
        return replace(self, array=self.array[:count])

    def rows(self) -> Array:
        """Return the rows, [n, weights]."""
        return self.array.reshape(len(self.array), -1)

    def in_kernel_order(self) -> Array:
        """Return the rows with the weights as the kernel has them, [n, weights]."""
        return self.rows()

    def gram(self) -> Array:
        """Return the products of all pairs of rows, [n, n], float64."""
        return product_with_own_transpose([self.rows()])

    def times(self, weights: Array, start: int = 0, stop: int | None = None) -> Array:
        """Return the rows' products with a kernel, [n], float64; rows cut to columns go with those of the kernel."""
        arranged = self.window.arranged(weights) if self.window else weights.reshape(-1)
        return np.asarray(self.array @ arranged[start:stop], np.float64)


Contribution = OuterProduct | Rows


def summed(parts: Sequence[Contribution]) -> Contribution:
    """Return the sum of the contributions of several calls, compact."""
    if len(parts) == 1:
        return parts[0].compact()
    if all(isinstance(p, OuterProduct) and p.window is None for p in parts):
        left, right = (np.concatenate([getattr(p, side) for p in parts], axis=1) for side in ("left", "right"))
        return OuterProduct(left, right).compact()
    total = parts[0].in_kernel_order()
    for part in parts[1:]:
        total = total + part.in_kernel_order()
    return Rows(total)


def gram(blocks: Sequence[Contribution]) -> Array:
    """Return the products of all pairs of the rows of several blocks of samples, [n, n], float64."""
    if all(isinstance(b, OuterProduct) for b in blocks):
        left, right = (np.concatenate([getattr(b, side) for b in blocks]) for side in ("left", "right"))
        return OuterProduct(left, right).gram()
    return product_with_own_transpose([b.rows() for b in blocks])


def product_with_own_transpose(blocks: Sequence[Array]) -> Array:
    """Return rows · rowsᵀ, accumulated in float64, [n, n]: the exact Gram matrix of rows given in float32."""
    count = sum(map(len, blocks))
    total = np.zeros((count, count))
    for start in range(0, blocks[0].shape[1], PANEL):
        panel = np.concatenate([rows[:, start : start + PANEL] for rows in blocks], dtype=np.float64)
        total += panel @ panel.T
    return total
