"""Inputs other than images: vectors, tokens, or several named arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.errors import InputError

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Inputs:
    """Several named arrays of the same length, indexed together.

    Args:
        arrays: by the name of the network's input that each one is for, [n, ...].
    """

    arrays: Mapping[str, Array]

    @property
    def shape(self) -> dict[str, tuple[int, ...]]:
        """The shape of each array."""
        return {name: array.shape for name, array in self.arrays.items()}

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def __getitem__(self, chosen: slice | NDArray[np.int64]) -> dict[str, Array]:
        """Return the samples at a slice or at indices, an array for each name."""
        return {name: array[chosen] for name, array in self.arrays.items()}

    def subset(self, indices: NDArray[np.int64]) -> Inputs:
        """Return the samples at `indices` as inputs."""
        return Inputs(self[indices])


def is_scalable(inputs: Any) -> bool:
    """Return whether inputs may be scaled: not tokens, and not several arrays at once."""
    return not isinstance(inputs, Mapping | Inputs) and (inputs.dtype == np.uint8 or inputs.dtype.kind == "f")


def as_given(inputs: Any) -> Any:
    """Return arrays in the types for the network: indices as int32, all others as float32."""
    if isinstance(inputs, Mapping):
        return {name: as_given(array) for name, array in inputs.items()}
    return inputs.astype(np.float32 if is_scalable(inputs) else np.int32)


def checked_array(name: str, array: Array) -> Array:
    """Return an array in its storage type: uint8, int32 for other whole numbers, or float32.

    Raises:
        InputError: it holds something other than finite numbers, or an index beyond 32 bits.
    """
    if array.dtype.kind == "f":
        held = array.astype(np.float32)  # a finite float64 may become infinite here, so the result is checked
        if not np.isfinite(held).all():
            raise InputError(f"{name} must contain finite numbers", received="NaN or infinity")
        return held
    if array.dtype == np.uint8 or array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype.kind not in "iu":
        raise InputError(f"{name} must contain numbers", received=str(array.dtype))
    if array.size and not -(2**31) <= int(array.min()) <= int(array.max()) < 2**31:
        raise InputError(
            f"{name} must contain whole numbers of at most 32 bits", received=f"{array.min()}..{array.max()}"
        )
    return array.astype(np.int32)
