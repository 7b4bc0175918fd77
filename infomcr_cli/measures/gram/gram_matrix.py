"""The Gram matrix of per-sample gradients of a model: the one call most users need."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from infomcr_cli.measures.gram.engine import GramEngine
from infomcr_cli.measures.stateless import BatchNormMode


def gram_matrix(
    model: keras.Model,
    images: Any,
    labels: Any,
    *,
    batch_norm: BatchNormMode = "inference",
    logit_scale: float | None = None,
    chunk_size: int = 10,
) -> NDArray[np.float64]:
    """Return G = J Jᵀ, row i of J being the gradient of sample i's cross-entropy by all trainable weights.

    Args:
        model:       any Keras model that maps a sample to logits; it is left untouched.
        images:      what the model takes, [N, ...].
        labels:      true classes, [N].
        batch_norm:  `inference` (moving statistics) or `batch` (statistics of chunks of `chunk_size` samples).
        logit_scale: s; the loss is that of z / (‖z‖ s). The study uses 0.04.
        chunk_size:  consecutive samples that share batch statistics; N must be a multiple of it in `batch` mode.

    Raises:
        InputError: the model gives probabilities, or labels do not fit.
    """
    engine = GramEngine(model, batch_norm=batch_norm, logit_scale=logit_scale, chunk_size=chunk_size)
    return engine(images, labels).gram
