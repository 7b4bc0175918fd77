"""The digits that scikit-learn ships: 1,797 grey images of 8×8 pixels, 10 classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.data.record import Split

SCALE = 255.0 / 16.0  # pixels are 0..16 in the source
TRAIN, TEST = 1437, 360


def load_digits() -> tuple[Split, Split]:
    """Return one fixed, stratified division into 1,437 training and 360 test images, pixels on the 0..255 scale."""
    from sklearn.datasets import load_digits as shipped
    from sklearn.model_selection import train_test_split

    source = shipped()
    images: NDArray[np.float32] = (source.images * SCALE).astype(np.float32)[..., None]
    labels = source.target.astype(np.int32)
    train, test = train_test_split(np.arange(len(labels)), test_size=TEST, stratify=labels, random_state=0)
    return tuple(Split(images[part], labels[part]) for part in (np.sort(train), np.sort(test)))  # type: ignore[return-value]
