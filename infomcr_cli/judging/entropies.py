"""Terms of entropies, as `scipy.special` has them: importing that takes longer than all statistics of a comparison."""

from __future__ import annotations

import numpy as np


def entropy_terms(shares: np.ndarray) -> np.ndarray:
    """Return −p ln p of each share p, 0 where p is 0, nats.

    Examples:
        >>> round(float(entropy_terms(np.array([0.0, 0.5, 0.5])).sum()), 12)  # ln 2
        0.69314718056
    """
    return -relative_terms(shares, np.ones_like(shares))


def relative_terms(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return x ln(x/y) of each x and y, 0 where x is 0; y > 0 where x > 0.

    Examples:
        >>> relative_terms(np.array([0.0, 2.0]), np.array([0.0, 2.0])).tolist()
        [0.0, 0.0]
    """
    quotients = np.divide(first, second, out=np.ones_like(first), where=first > 0)
    return np.asarray(first * np.log(quotients))
