"""Wrap the user's arrays, which are already scaled, as the data set that measures use."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from infomcr_cli.data.dataset import Dataset, Split
from infomcr_cli.measures.samples import take


class GivenSamples:
    """An array, or a structure of arrays of one length, that is indexed as one."""

    def __init__(self, arrays: Any) -> None:
        self.arrays = arrays

    def __len__(self) -> int:
        return len(keras.tree.flatten(self.arrays)[0])

    def __getitem__(self, chosen: Any) -> Any:
        return take(self.arrays, chosen)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the first array, [n, ...]."""
        return tuple(keras.tree.flatten(self.arrays)[0].shape)


class GivenData(Dataset):
    """A data set whose samples are passed to the network unchanged."""

    def standardise(self, images: Any) -> Any:
        """Return the samples as they are."""
        return images


Samples = tuple[Any, NDArray[np.int32]]


def given_data(train: Samples, test: Samples | None, classes: int) -> GivenData:
    """Return the data set of training and test samples, in the given order."""
    images, labels = train
    if test is None:
        test = take(images, np.arange(0)), labels[:0]  # [0, ...], [0]
    splits = [Split(GivenSamples(x), y) for x, y in (train, test)]  # type: ignore[arg-type]
    names = tuple(str(i) for i in range(classes))
    return GivenData("given", splits[0], splits[1], names, (), (), stored_order=True, fingerprint="")
