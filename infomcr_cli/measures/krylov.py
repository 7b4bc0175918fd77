"""Largest eigenvalues and trace of a symmetric matrix that is known by its products with vectors only.

| symbol | meaning |
| --- | --- |
| A | the matrix, [W, W] |
| Q | orthonormal basis of a Krylov space of A, in rows, [k, W] |
| T | Q A Qᵀ, [k, k] |
| θ, s | eigenvalues and eigenvectors of T (Ritz values, in the basis Q) |

One space serves both: its Ritz values are near the outermost eigenvalues, and the trace of A on it is known exactly.
SciPy's `eigsh` keeps its basis to itself, so that the products would have to be taken once more for the trace.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[np.float64]
Product = Callable[[Array], Array]
DEPENDENT = 1e-12  # of the length of A q: what is left of it outside the space is rounding


@dataclass(frozen=True)
class KrylovSpace:
    """A space of vectors whose products with A are known.

    Args:
        basis:  Q, [k, W].
        images: A Q, [k, W].
    """

    basis: NDArray[np.floating]
    images: NDArray[np.floating]

    @property
    def trace(self) -> float:
        """The trace of A on the space, tr T."""
        return sum(float(q.astype(np.float64) @ image) for q, image in zip(self.basis, self.images, strict=True))

    def outside(self, vector: Array) -> Array:
        """Return the part of a vector that is orthogonal to the space, [W]."""
        inside = vector.astype(self.basis.dtype)  # a product of two precisions would copy the basis
        return vector - (self.basis @ inside) @ self.basis

    def ritz_values(self, count: int) -> tuple[Array, Array, Array]:
        """Return the `count` largest Ritz values, descending, with the bounds of their errors.

        Returns:
            θ, the residual norms ‖A v - θ v‖, and their squares over the distance to the nearest other Ritz value. An
            eigenvalue lies within either of θ, the second where Ritz values stand for eigenvalues (Kato-Temple).
        """
        product = self.basis @ self.images.T  # T, [k, k], symmetric but for rounding
        values, vectors = np.linalg.eigh((product + product.T).astype(np.float64) / 2)
        order = np.argsort(values)[::-1][:count]
        chosen = vectors[:, order].T  # s, [count, k]
        # A v = s A Q and θ v = θ s Q, without a further product: [count].
        residuals = np.linalg.norm(chosen @ self.images - values[order, None] * (chosen @ self.basis), axis=1)
        gaps = [np.abs(np.delete(values, i) - values[i]).min(initial=np.inf) for i in order]
        with np.errstate(divide="ignore", invalid="ignore"):
            return values[order], residuals, residuals**2 / np.array(gaps)


def krylov_space(product: Product, size: int, *, steps: int, seed: int, dtype: DTypeLike = np.float64) -> KrylovSpace:
    """Return a Krylov space of min(steps, size) dimensions by Lanczos' method, fully reorthogonalised.

    Where the space is exhausted early, it is continued from a new random vector, so that the space of a matrix of rank
    below `steps` holds its whole range.

    Args:
        product: v -> A v, [size] -> [size], A symmetric.
        steps:   products that are taken, one for each dimension.
        seed:    of the first vector.
        dtype:   in which vectors are kept.

    Source: Lanczos, 1950; Golub & Van Loan, Matrix Computations, section 10.3.
    """
    rng, steps = np.random.default_rng([seed, 0]), min(steps, size)
    space = KrylovSpace(np.zeros((steps, size), dtype), np.zeros((steps, size), dtype))
    start: Array = rng.standard_normal(size)
    for step in range(steps):
        known = KrylovSpace(space.basis[:step], space.images[:step])
        left = known.outside(known.outside(start))  # twice: rounding leaves a short remainder not quite orthogonal
        if not np.linalg.norm(left) > DEPENDENT * np.linalg.norm(start):
            # The space is exhausted.
            left = known.outside(known.outside(rng.standard_normal(size)))
        space.basis[step] = left / np.linalg.norm(left)
        start = product(space.basis[step].astype(np.float64))
        space.images[step] = start
    return space


def trace_outside(space: KrylovSpace, parts: Sequence[Product], *, probes: int, seed: int) -> tuple[float, float]:
    """Return an unbiased estimate of the trace of A = Σ_b A_b orthogonal to a space, and its standard error.

    Each part has random signs of its own (Hutchinson), so that `probes` products with A are worth as many estimates as
    there are parts, times `probes`.

    Args:
        space:  from the same seed or another one: its random numbers are not those of the probes.
        parts:  v -> A_b v of each part.
        probes: of each part.
    """
    size = space.basis.shape[1]
    if len(space.basis) == size:
        return 0.0, 0.0
    rng, found = np.random.default_rng([seed, 1]), np.empty((len(parts), probes))
    for place in np.ndindex(found.shape):
        signs = space.outside(rng.choice(np.array([-1.0, 1.0]), size))
        found[place] = signs @ parts[place[0]](signs)
    # [parts, probes]: the parts are independent, so the variances of their means add up.
    error = float(np.sqrt(found.var(axis=1, ddof=1).sum() / probes)) if probes > 1 else 0.0
    return float(found.mean(axis=1).sum()), error
