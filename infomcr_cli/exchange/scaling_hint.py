"""Whether a network may have been trained on pixels of another scale than it is given."""

from __future__ import annotations

from typing import get_args

import keras
import numpy as np

from infomcr_cli.config.data_schema import Scaling
from infomcr_cli.data.inputs import is_scalable
from infomcr_cli.data.record import Dataset
from infomcr_cli.data.scaling import scaled
from infomcr_cli.exchange.fitting import fitted

SAMPLES = 500
MARGIN = 0.05  # of accuracy, below which scales are taken for equal


def better_scaling(model: keras.Model, dataset: Dataset, chosen: Scaling) -> str | None:
    """Return a sentence if the first training samples are told much better in another scale; None if not.

    Args: dataset: with the mean and deviation of its training images.
    """
    if not is_scalable(dataset.train.images):
        return None
    accuracies = {scaling: _accuracy(model, scaled(dataset, scaling)) for scaling in get_args(Scaling)}
    best = max(accuracies, key=lambda scaling: accuracies[scaling])
    if accuracies[best] - accuracies[chosen] < MARGIN:
        return None
    return (
        f"With data.scaling={best} the first {min(SAMPLES, len(dataset.train))} training samples have an accuracy of "
        f"{accuracies[best]:.1%} instead of {accuracies[chosen]:.1%}: is that how the network was trained?"
    )


def _accuracy(model: keras.Model, dataset: Dataset) -> float:
    data = fitted(dataset, model)
    inputs = data.standardise(data.train.images[:SAMPLES])
    logits = keras.ops.convert_to_numpy(model(inputs, training=False))
    return float(np.mean(np.argmax(logits, axis=-1) == data.train.labels[:SAMPLES]))
