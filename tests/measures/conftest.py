"""Shared by the tests of the measures."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import pytest


@pytest.fixture
def double_precision() -> Iterator[None]:
    """Models are float64, so that a formula shows to 1e-10."""
    before = keras.config.dtype_policy(), keras.config.floatx()
    keras.config.set_dtype_policy("float64")
    keras.config.set_floatx("float64")
    keras.utils.set_random_seed(1)
    yield
    keras.config.set_dtype_policy(before[0])
    keras.config.set_floatx(before[1])
