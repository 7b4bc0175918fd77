"""Normalisation by a word: `batch`, `group`, `layer` or `none`."""

from __future__ import annotations

from typing import Literal

import keras
from keras import layers

Norm = Literal["batch", "group", "layer", "none"]
PREFIXES: dict[Norm, str] = {"batch": "bn", "group": "gn", "layer": "ln"}
CHANNELS_PER_GROUP = 8
MOST_GROUPS = 32


def normalise(x: keras.KerasTensor, norm: Norm, name: str, *, l2: float = 0.0) -> keras.KerasTensor:
    """Normalise features [..., C] and scale and shift each channel; `none` returns them as they are.

    `batch` has momentum 0.9 and ε 1e-5, as the study has it. `layer` takes the mean and variance of one image over all
    positions and channels, `group` over all positions and a group of channels (Wu & He, 2018, arXiv:1803.08494).

    Args:
        name: a path whose last part may hold `norm`, which becomes `bn`, `gn` or `ln`.
        l2:   coefficient of the sum of squares of scale and shift.
    """
    if norm == "none":
        return x
    penalties = {f"{weight}_regularizer": squares(l2) for weight in ("gamma", "beta")}
    name = name.replace("norm", PREFIXES[norm])
    if norm == "batch":
        return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name, **penalties)(x)
    groups = 1 if norm == "layer" else group_count(x.shape[-1])
    return layers.GroupNormalization(groups, epsilon=1e-5, name=name, **penalties)(x)


def group_count(channels: int) -> int:
    """Return into how many equal groups of at least 8 channels to part them, at most 32.

    Example: group_count(16), group_count(64) and group_count(512) are 2, 8 and 32.
    """
    most = max(1, min(MOST_GROUPS, channels // CHANNELS_PER_GROUP))
    return max(groups for groups in range(1, most + 1) if channels % groups == 0)


def squares(l2: float) -> keras.Regularizer | None:
    """Return the penalty l2·Σw², or None where it would be zero."""
    return keras.regularizers.L2(l2) if l2 else None
