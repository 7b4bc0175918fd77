"""Variance of the per-sample gradients, from their Gram matrix."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def gradient_noise_variance(gram: NDArray[np.float64]) -> float:
    """Return tr Σ, Σ the unbiased covariance of the per-sample gradients, from G = J Jᵀ [N, N].

    tr Σ = (tr G - Σ_ij G_ij / N) / (N - 1). A batch of b samples has a gradient of variance tr Σ / b.

    Raises:  ValueError: fewer than two samples have no covariance.
    Source:  McCandlish et al., 2018, arXiv:1812.06162; as a measure: Jiang et al., 2020,
             arXiv:1912.02178.
    Example: gradient_noise_variance(np.eye(2)) is 1.0.
    """
    count = len(gram)
    if count < 2:
        raise ValueError(f"a covariance needs at least two samples; got {count}.")
    return float((np.trace(gram) - gram.sum() / count) / (count - 1))
