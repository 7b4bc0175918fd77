"""Batch norm by its fused kernel against the layer that Keras has: the same numbers, and only where they are."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tolerances import SINGLE

from infomcr_cli.models.keras_internals import fused_batch_norm, normalization


def network(shape: tuple[int, ...] = (5, 4, 3), dtype: Any = "float32", **settings: Any) -> keras.Model:
    keras.utils.set_random_seed(3)
    image = keras.Input(shape, dtype=getattr(dtype, "compute_dtype", dtype))
    norm = keras.layers.BatchNormalization(momentum=0.9, dtype=dtype, **settings)
    model = keras.Model(image, norm(image))
    for variable in model.variables:
        variable.assign(np.random.default_rng(1).uniform(0.5, 2, variable.shape))
    return model


def images(count: int, shape: tuple[int, ...] = (5, 4, 3), dtype: str = "float32") -> tf.Tensor:
    return tf.constant(np.random.default_rng(0).normal(30, 4, (count, *shape)).astype("float32"), dtype)


def learn(model: keras.Model, x: tf.Tensor) -> list[Any]:
    """Return output, gradients by input and weights, and moving statistics of a pass in training."""

    @tf.function(autograph=False)
    def run(x: tf.Tensor) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = model(x, training=True)
            places = tf.cast(tf.range(tf.shape(x)[1]), tf.float64)[:, None, None]
            loss = tf.reduce_sum(tf.sin(tf.cast(y, tf.float64)) * places)
        return y, *tape.gradient(loss, [x, *model.trainable_variables])

    return [*run(x), *model.non_trainable_variables]


SETTINGS = [{}, {"scale": False}, {"center": False}, {"scale": False, "center": False}, {"axis": 3}, {"epsilon": 0.1}]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("count", [1, 7])
def test_fused_output_gradients_and_statistics_equal_those_of_keras(
    settings: Any, count: int, used: list[bool]
) -> None:
    """Float64 is the truth, and Keras in float32 the measure of what rounding does."""
    exact = learn(network(dtype="float64", **settings), images(count, dtype="float64"))
    keras_own = learn(network(**settings), images(count))
    model = network(**settings)
    with fused_batch_norm(model):
        found = learn(model, images(count))
    assert used
    for mine, theirs, true in zip(found, keras_own, exact, strict=True):
        mine, theirs, true = (np.asarray(x, np.float64) for x in (mine, theirs, true))
        rounding = np.abs(theirs - true).max() + 1e-6 * np.abs(true).max()
        np.testing.assert_allclose(mine, true, rtol=0, atol=3 * rounding)


def test_fused_kernel_serves_bfloat16_inputs_with_float32_weights_and_statistics(used: list[bool]) -> None:
    """The inputs are rounded first, so that only what the layer does is compared; Keras computes in float32 inside."""
    rounded = tf.cast(images(7), tf.bfloat16)
    exact = learn(network(), tf.cast(rounded, tf.float32))
    mixed = {"dtype": keras.DTypePolicy("mixed_bfloat16")}
    keras_own = learn(network(**mixed), rounded)
    model = network(**mixed)
    with fused_batch_norm(model):
        found = learn(model, rounded)
    assert used
    for mine, theirs, true in zip(found, keras_own, exact, strict=True):
        assert mine.dtype == theirs.dtype
        mine, theirs, true = (np.asarray(tf.cast(x, tf.float64)) for x in (mine, theirs, true))
        rounding = np.abs(theirs - true).max() + 1e-6 * np.abs(true).max()
        np.testing.assert_allclose(mine, true, rtol=0, atol=1.5 * rounding)


def test_one_value_per_channel_has_zero_variance(used: list[bool]) -> None:
    model, theirs = network((1, 1, 3)), network((1, 1, 3))
    learn(theirs, images(1, (1, 1, 3)))
    with fused_batch_norm(model):
        learn(model, images(1, (1, 1, 3)))
    assert used
    for mine, other in zip(model.non_trainable_variables, theirs.non_trainable_variables, strict=True):
        np.testing.assert_allclose(mine, other, rtol=SINGLE)


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Holds something once a fused kernel was taken."""
    calls: list[bool] = []
    update = normalization.update_moving
    monkeypatch.setattr(normalization, "update_moving", lambda *arguments: (calls.append(True), update(*arguments)))
    return calls


@pytest.mark.parametrize(
    ("settings", "shape", "dtype", "training"),
    [
        ({}, (6,), "float32", True),
        ({"axis": 1}, (5, 4, 3), "float32", True),
        ({}, (5, 4, 3), "float64", True),
        ({"synchronized": True}, (5, 4, 3), "float32", True),
        ({"renorm": True}, (5, 4, 3), "float32", True),
        ({"trainable": False}, (5, 4, 3), "float32", True),
        ({}, (5, 4, 3), "float32", False),
    ],
)
def test_layers_that_cannot_be_fused_use_the_keras_call(
    settings: Any, shape: Any, dtype: str, training: bool, used: list[bool]
) -> None:
    model, x = network(shape, dtype, **settings), images(4, shape, dtype)
    with fused_batch_norm(model):
        model(x, training=training)
    assert not used


def test_layers_are_restored_after_an_exception() -> None:
    model = network()
    before = dict(vars(model.layers[1]))
    with pytest.raises(ValueError, match="shape"), fused_batch_norm(model):
        model(tf.zeros((2, 5)), training=True)
    assert vars(model.layers[1]) == before
