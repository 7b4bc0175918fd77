"""Products of per-sample gradients on the device that computed them: only matrices of [N, N] go to the host.

The gradients are written out in the precision of the measurement and multiplied in float64, as on the host.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from infomcr_cli.measures.gram.device_rows import arranged, convolution_rows
from infomcr_cli.measures.gram.parts import Part
from infomcr_cli.measures.gram.products import SIDES, WHOLE, Contribution, OuterProduct, Rows, are_matrix_products

Array = NDArray[np.float64]
PANEL_BYTES = 1 << 26  # of columns that are turned to float64 at a time


class DeviceProducts:
    """By operations of TensorFlow, one after the other: the device is shared by what each does inside."""

    workers = 1

    def held(self, tensor: tf.Tensor) -> tf.Tensor:
        """Return the tensor itself."""
        return tensor

    def joined(self, chunks: Sequence[tf.Tensor]) -> tf.Tensor:
        """Concatenate."""
        with _beside(chunks[0]):
            return tf.concat(chunks, axis=0)

    def compact(self, contributions: Sequence[Contribution], part: Part = WHOLE) -> Contribution:
        """Return the sum as rows, or as one outer product."""
        with _beside(_tensor_of(contributions[0])):
            whole: Contribution
            if len(contributions) == 1:
                (whole,) = contributions
            elif are_matrix_products(contributions):  # the positions of all calls, [n, T₁ + T₂ + …, a or k]
                left, right = (tf.concat([getattr(c, side) for c in contributions], axis=1) for side in SIDES)
                whole = OuterProduct(left, right)
            else:
                whole = Rows(tf.add_n([_in_kernel_order(c) for c in contributions]))
            if part.stop is not None:
                return Rows(_rows(whole)[:, part.start : part.stop], whole.window)
            return whole if whole.stays_factored else Rows(_rows(whole), whole.window)

    def gram(self, blocks: Sequence[Contribution], kernel: tf.Tensor, part: Part = WHOLE) -> tuple[Array, Array]:
        """Return both products."""
        with _beside(_tensor_of(blocks[0])):
            if all(isinstance(b, OuterProduct) for b in blocks):
                left, right = (tf.concat([getattr(b, side) for b in blocks], axis=0) for side in SIDES)
                gram, along = _gram_of_factors(left, right, kernel)  # of [N, T, a] and [N, T, k]
            else:
                window = blocks[0].window
                weights = arranged(kernel, window) if window is not None else tf.reshape(kernel, [-1])
                gram, along = _gram_of_rows([_rows(b) for b in blocks], weights[part.start : part.stop])
        matrix = gram.numpy()
        return (matrix + matrix.T) / 2, along.numpy()  # a product may be summed in another order than its mirror image


@contextmanager
def _beside(tensor: tf.Tensor) -> Iterator[None]:
    """Compute on the device that holds a tensor: threads begin without one."""
    with tf.device(tensor.device):
        yield


def _tensor_of(contribution: Contribution) -> tf.Tensor:
    return contribution.array if isinstance(contribution, Rows) else contribution.left


def _rows(contribution: Contribution) -> tf.Tensor:
    """Return the gradients written out, [n, weights]."""
    if isinstance(contribution, Rows):
        return tf.reshape(contribution.array, [contribution.array.shape[0], -1])
    left, right, window = contribution.left, contribution.right, contribution.window
    if window is not None:
        return convolution_rows(left, right, window)
    return tf.reshape(tf.matmul(left, right, transpose_a=True), [left.shape[0], -1])  # from [n, a, k]


def _in_kernel_order(contribution: Contribution) -> tf.Tensor:
    rows = _rows(contribution)
    if isinstance(contribution, Rows) or contribution.window is None:
        return rows
    return tf.gather(rows, contribution.kernel_order(), axis=1)


def _gram_of_factors(left: tf.Tensor, right: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return what `products.gram_of_factors` does."""
    n, steps = left.shape[:2]
    left, right, kernel = (tf.cast(x, tf.float64) for x in (left, right, kernel))
    # Σ_t left_tᵀ K right_t, by [n, T, k] · [k, a]: the rows are not written out.
    along = tf.reduce_sum(left * tf.matmul(right, kernel, transpose_b=True), axis=[1, 2])
    left, right = (tf.reshape(x, [n * steps, -1]) for x in (left, right))
    pairs = tf.matmul(left, left, transpose_b=True) * tf.matmul(right, right, transpose_b=True)  # [n·T, n·T]
    return tf.reduce_sum(tf.reshape(pairs, [n, steps, n, steps]), axis=[1, 3]), along


def _gram_of_rows(blocks: Sequence[tf.Tensor], weights: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return what `products.gram_of_rows` does."""
    count = sum(rows.shape[0] for rows in blocks)
    width = max(1, PANEL_BYTES // (8 * (count + 1)))
    total = tf.zeros([count + 1, count + 1], tf.float64)
    for start in range(0, weights.shape[0], width):
        columns = slice(start, start + width)
        panel = tf.concat([*(rows[:, columns] for rows in blocks), weights[None, columns]], axis=0)
        panel = tf.cast(panel, tf.float64)  # [N + 1, width]: the weights are one more row
        total += tf.matmul(panel, panel, transpose_b=True)
    return total[:count, :count], total[:count, count]
