"""The Gram matrix of per-sample gradients of a model: the one call most users need."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from infomcr_cli.measures.forward import BatchNormMode, float_weights, natural_precision
from infomcr_cli.measures.jacobian import JacobianPass, Setting, weight_values
from infomcr_cli.measures.spectrum import rescaled


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
    """
    images, labels = np.asarray(images), np.asarray(labels, np.int32)
    step = chunk_size if batch_norm == "batch" else min(chunk_size, len(labels))
    setting = Setting(model, natural_precision(model), batch_norm, logit_scale)
    weights = float_weights(model)
    run = JacobianPass(setting, weights, model.trainable_variables, images[:step])
    values, rows, logs = weight_values(weights, setting.precision), [], []
    for start in range(0, len(labels), step):
        take = np.arange(start, start + step) % len(labels)
        derivative, parts = run(values, images[take], labels[take])
        keep = min(step, len(labels) - start)
        logs.append(derivative.log_length.numpy()[:keep])
        rows.append(np.concatenate([p.numpy().reshape(step, -1) for p in parts], 1)[:keep].astype(np.float64))
    j = np.concatenate(rows)
    return rescaled(j @ j.T, np.concatenate(logs))
