"""Margins: by how much the true class leads the best of the others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def margins(logits: Array, labels: NDArray[np.int32]) -> Array:
    """Return z_y - max_{k≠y} z_k of each sample, [N]; negative where the sample is misclassified.

    Args: logits: [N, C]. labels: true classes, [N].
    """
    rows = np.arange(len(labels))
    rivals = logits.copy()
    rivals[rows, labels] = -np.inf
    return logits[rows, labels] - rivals.max(axis=1)


def tenth_percentile_margin(logits: Array, labels: NDArray[np.int32]) -> float:
    """Return the 10th percentile of the margins, in units of logits.

    Source:  Jiang et al., 2020, arXiv:1912.02178 (a robust stand-in for the smallest margin).
    Example: of margins 0, 1, ..., 10 it is 1.
    """
    return float(np.percentile(margins(logits, labels), 10))
