"""Norms by a word, against NumPy."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from tolerances import FLOAT32, SINGLE

from infomcr_cli.models.layers import group_count, normalise


def normalised(x: np.ndarray, norm: str, training: bool) -> np.ndarray:
    image = keras.Input(x.shape[1:])
    return np.asarray(keras.Model(image, normalise(image, norm, "some.norm1"))(x, training=training))


@pytest.mark.parametrize(
    ("norm", "axes", "groups"), [("batch", (0, 1, 2, 4), 16), ("group", (1, 2, 4), 2), ("layer", (1, 2, 3, 4), 1)]
)
def test_norm_equals_its_formula(norm: str, axes: Any, groups: Any) -> None:
    x = np.random.default_rng(0).normal(3, 2, (5, 4, 4, 16)).astype(np.float32)
    grouped = x.astype(np.float64).reshape(5, 4, 4, groups, 16 // groups)
    mean, variance = grouped.mean(axes, keepdims=True), grouped.var(axes, keepdims=True)
    expected = ((grouped - mean) / np.sqrt(variance + 1e-5)).reshape(x.shape)
    np.testing.assert_allclose(normalised(x, norm, training=True), expected, atol=FLOAT32)


@pytest.mark.parametrize("norm", ["group", "layer", "none"])
def test_only_batch_norm_mixes_images(norm: str) -> None:
    x = np.random.default_rng(0).normal(3, 2, (5, 4, 4, 16)).astype(np.float32)
    np.testing.assert_allclose(normalised(x, norm, True)[:2], normalised(x[:2], norm, False), atol=SINGLE)


@pytest.mark.parametrize("channels", [*range(1, 70), 512, 1000])
def test_groups_divide_the_channels_and_have_at_least_8(channels: int) -> None:
    groups = group_count(channels)
    assert channels % groups == 0
    assert 1 <= groups <= 32
    assert groups == 1 or channels / groups >= 8


def test_norm_none_returns_its_input() -> None:
    image = keras.Input((4, 4, 3))
    assert normalise(image, "none", "any.norm") is image
