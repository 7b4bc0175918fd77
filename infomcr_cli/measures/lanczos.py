"""Largest eigenvalues of a symmetric matrix that is known by its products with vectors only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

Array = NDArray[np.float64]


def largest_eigenvalues(
    product: Callable[[Array], Array], size: int, *, count: int, tolerance: float, seed: int, products: int
) -> tuple[Array, Array]:
    """Return the algebraically largest eigenvalues, descending, and the residual norm of each (restarted Lanczos).

    An eigenvalue lies within ‖A v - λ v‖ of λ, so the residual bounds the error.

    Args:
        product:   v -> A v, [size] -> [size], A symmetric.
        count:     how many; at most size - 1.
        tolerance: relative accuracy asked of ARPACK.
        products:  about as many products are spent at most; eigenvalues that have not converged by then are left out.
    Source:  Lehoucq, Sorensen & Yang, 1998 (ARPACK), through scipy.sparse.linalg.eigsh.
    """
    count = min(count, size - 1)
    krylov = min(size, max(2 * count + 1, 12))
    start = np.random.default_rng(seed).standard_normal(size)
    operator = LinearOperator((size, size), matvec=product, dtype=np.float64)
    restarts = max(1, (products - krylov) // (krylov - count))
    try:
        values, vectors = eigsh(operator, count, which="LA", v0=start, ncv=krylov, tol=tolerance, maxiter=restarts)
    except ArpackNoConvergence as unfinished:
        values, vectors = np.real(unfinished.eigenvalues), np.real(unfinished.eigenvectors)
    order = np.argsort(values)[::-1]
    residuals = [np.linalg.norm(product(vectors[:, i]) - values[i] * vectors[:, i]) for i in order]
    return values[order], np.asarray(residuals)
