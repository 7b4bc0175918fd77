"""Loss and accuracy of given logits, in NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def mean_loss(logits: Array, labels: NDArray[np.int32]) -> float:
    """Return the mean cross-entropy of logits [N, C] at true classes [N], nats."""
    return float(np.mean(np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(labels)), labels]))


def accuracy(logits: Array, labels: NDArray[np.int32]) -> float:
    """Return the share of samples whose greatest logit is at their label, 0..1."""
    return float(np.mean(np.argmax(logits, axis=1) == labels))
