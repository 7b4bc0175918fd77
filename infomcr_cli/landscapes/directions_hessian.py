"""Compute the directions of largest curvature: the top eigenvectors of the Hessian, by Hessian-vector products."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.errors import InputError

Array = NDArray[np.float64]
Product = Callable[[Array], Array]
DENSE = 64  # up to so many weights, all columns of the Hessian are computed
KRYLOV = 20  # vectors that Lanczos keeps
TOLERANCE = 1e-4  # relative, of each eigenvalue
MOST_PRODUCTS = 400
USUAL_PRODUCTS = 40  # for a forecast
_RULE = "top eigenvectors need a Hessian that is finite and not zero"


class Eigenvectors(NamedTuple):
    """The algebraically largest eigenvalues, descending.

    Args:
        values:    [k].
        vectors:   of length 1, the entry of largest magnitude positive, [W, k].
        residuals: ‖H v - λ v‖, which bounds the error of each eigenvalue, [k].
    """

    values: Array
    vectors: Array
    residuals: Array


def top_eigenvectors(product: Product, size: int, *, count: int, seed: int) -> Eigenvectors:
    """Return the eigenvectors of the largest eigenvalues of a symmetric operator (restarted Lanczos).

    Args:
        product: v -> H v, [size] -> [size].
        count:   how many; at most `size`.
        seed:    of the start vector.

    Raises:
        InputError: there are fewer weights than that, H is zero or not finite, or Lanczos did not converge.

    Source: Lehoucq, Sorensen & Yang, 1998 (ARPACK), through scipy.sparse.linalg.eigsh.
    """
    if size < count:
        raise InputError("there cannot be more directions than trainable weights", received=f"{count} of {size}")

    def finite(vector: Array) -> Array:
        found = product(vector)
        if not np.isfinite(found).all():
            raise InputError(_RULE, received="a product with a vector that is not finite")
        return found

    values, vectors = _dense(finite, size, count) if size <= DENSE else _lanczos(finite, size, count, seed)
    if not values.any():
        raise InputError(_RULE, received="λ = 0")
    order = np.argsort(values)[::-1]
    vectors = vectors[:, order]  # [W, k]
    # The sign of an eigenvector is arbitrary: it is chosen by its largest entry.
    largest = np.abs(vectors).argmax(axis=0)  # [k]
    vectors = vectors * np.where(vectors[largest, np.arange(vectors.shape[1])] < 0, -1.0, 1.0)
    residuals = [np.linalg.norm(product(vectors[:, i]) - values[k] * vectors[:, i]) for i, k in enumerate(order)]
    return Eigenvectors(values[order], vectors, np.array(residuals))


def _dense(product: Product, size: int, count: int) -> tuple[Array, Array]:
    matrix = np.stack([product(unit) for unit in np.eye(size)], axis=1)  # H, symmetric but for rounding
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return values[-count:], vectors[:, -count:]


def _lanczos(product: Product, size: int, count: int, seed: int) -> tuple[Array, Array]:
    from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

    start = np.random.default_rng(seed).standard_normal(size)
    operator = LinearOperator((size, size), matvec=product, dtype=np.float64)
    krylov = max(KRYLOV, 2 * count + 1)
    restarts = MOST_PRODUCTS // (krylov - count)  # ARPACK takes krylov - count products in each
    try:
        return eigsh(operator, count, which="LA", v0=start, ncv=krylov, tol=TOLERANCE, maxiter=restarts)
    except ArpackError as error:  # no convergence, or a matrix that is zero
        raise InputError(
            "the top eigenvectors did not converge",
            received=str(error).splitlines()[0],
            advice="Try --directions random.",
        ) from None
