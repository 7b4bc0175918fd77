"""Scale the inputs of a data set, by data.scaling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from infomcr_cli.config.schema.data import Scaling
from infomcr_cli.data.dataset import Dataset
from infomcr_cli.data.inputs import is_scalable
from infomcr_cli.errors import InputError

# (x - mean) / std with the same two numbers for every channel.
FIXED: Mapping[str, tuple[float, float]] = {"raw": (0.0, 1.0), "unit": (0.0, 255.0), "symmetric": (127.5, 127.5)}


def scaled(dataset: Dataset, scaling: Scaling) -> Dataset:
    """Return a data set whose `standardise` scales as requested.

    Raises:
        InputError: tokens, or several arrays at once, are to be scaled.

    Example:
        with "unit" a pixel of 255 becomes 1.0.
    """
    if scaling == "standardised":
        if not dataset.mean:
            raise _not_scalable(scaling, dataset)
        return dataset
    if scaling != "raw" and not is_scalable(dataset.train.images):
        raise _not_scalable(scaling, dataset)
    mean, std = FIXED[scaling]
    channels = max(1, len(dataset.mean))
    return replace(dataset, mean=(mean,) * channels, std=(std,) * channels)


def _not_scalable(scaling: str, dataset: Dataset) -> InputError:
    extra = f" {dataset.several_inputs}" if dataset.several_inputs else ""
    return InputError(
        "data.scaling must be raw for tokens and for several arrays at once",
        received=scaling,
        advice=f"Set data.scaling=raw and scale the inputs inside the network or in the file.{extra}",
    )
