"""Products of per-sample gradients with each other and with the weights, on the host by NumPy.

`device_products.DeviceProducts` gives the same by TensorFlow, on the device that computed the gradients.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from infomcr_cli.measures.gram.outer_product import (
    Contribution,
    OuterProduct,
    Rows,
    are_matrix_products,
    gram_of_factors,
    gram_of_rows,
)
from infomcr_cli.measures.gram.parts import Part

if TYPE_CHECKING:
    import tensorflow as tf

Array = NDArray[np.float64]
WHOLE = Part(0)
SIDES = ("left", "right")  # of an outer product


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
        if len(contributions) == 1:
            whole = contributions[0].compact()
        elif are_matrix_products(contributions):
            left, right = (np.concatenate([getattr(c, side) for c in contributions], axis=1) for side in SIDES)
            whole = OuterProduct(left, right).compact()
        else:
            whole = Rows(reduce(np.add, (c.in_kernel_order() for c in contributions)))
        if part.stop is None:
            return whole
        return Rows(np.ascontiguousarray(whole.rows()[:, part.start : part.stop]), whole.window)

    def gram(self, blocks: Sequence[Contribution], kernel: NDArray[Any], part: Part = WHOLE) -> tuple[Array, Array]:
        """Return both products."""
        if all(isinstance(b, OuterProduct) for b in blocks):
            left, right = (np.concatenate([getattr(b, side) for b in blocks]) for side in SIDES)
            return gram_of_factors(left, right, kernel)
        window = blocks[0].window
        weights = window.arranged(kernel) if window is not None else kernel.reshape(-1)
        return gram_of_rows([b.rows() for b in blocks], weights[part.start : part.stop])


def single_threaded_products() -> threadpool_limits:
    """Keep BLAS from sharing a product among threads: products here are small, and threads would wait for each other.

    On a machine with other work the waiting costs a factor of ten and more.
    """
    return threadpool_limits(1, user_api="blas")
