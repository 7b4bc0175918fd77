"""Trace of a symmetric matrix that is known by its products with vectors only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Product = Callable[[Array], Array]


def trace(product: Product, size: int, *, probes: int, seed: int) -> tuple[float, float]:
    """Return an unbiased estimate of tr A and its standard error, from 3·probes products (Hutch++).

    The range of a sketch A S is taken exactly, tr QᵀAQ; what is orthogonal to it by Hutchinson's estimator, whose
    spread over the probes gives the standard error. A matrix of rank below `probes` is got exactly.

    Args:    product: v -> A v, [size] -> [size], A symmetric. probes: at least 2. seed: of the Rademacher vectors.
    Source:  Meyer, Musco, Musco & Woodruff, 2021, arXiv:2010.09649, algorithm 1.
    Example: trace(lambda v: 2 * v, 3, probes=3, seed=0) is (6.0, 0.0).
    """
    probes = min(probes, size)
    rng = np.random.default_rng(seed)
    sketch, rest = (rng.choice([-1.0, 1.0], (size, probes)) for _ in range(2))
    basis, _ = np.linalg.qr(_columns(product, sketch))
    within = sum(float(q @ product(q)) for q in basis.T)
    rest -= basis @ (basis.T @ rest)
    beyond = np.array([g @ product(g) for g in rest.T])
    return within + float(beyond.mean()), float(beyond.std(ddof=1) / np.sqrt(probes)) if probes > 1 else 0.0


def _columns(product: Product, vectors: Array) -> Array:
    return np.stack([product(v) for v in vectors.T], axis=1)
