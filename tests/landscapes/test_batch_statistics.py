"""Renewed moving statistics against Keras's own of the whole set in one pass, and against a loop in float64."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from tolerances import FLOAT32, ROUNDING, SINGLE

from infomcr_cli.landscapes.batch_statistics import BatchStatistics, Moments, pooled
from infomcr_cli.models import build_model, named_weights

IMAGES = np.random.default_rng(0).normal(1.0, 2.0, (37, 8, 8, 1)).astype(np.float32)


def network() -> Any:
    keras.utils.set_random_seed(0)
    return build_model("wrn", input_shape=(8, 8, 1), num_classes=3, widths=(4, 8), blocks_per_group=1, dropout=0.5)


def statistics(model: Any) -> dict[str, np.ndarray]:
    return {name: np.array(v) for name, v in named_weights(model).items() if "/moving_" in name}


def test_one_batch_gives_the_mean_and_variance_that_keras_computes_in_training() -> None:
    model = network()
    BatchStatistics(model).renew([IMAGES])
    found = statistics(model)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    model(IMAGES, training=True)
    for name, value in statistics(model).items():
        np.testing.assert_allclose(found[name], value, rtol=FLOAT32, atol=SINGLE, err_msg=name)


def test_batches_of_any_size_give_the_statistics_of_all_images_together() -> None:
    """Of the first norm, whose inputs do not depend on how images are batched."""
    inputs = keras.Input((8, 8, 1))
    features = keras.layers.Conv2D(5, 3, name="conv")(inputs)
    outputs = keras.layers.GlobalAveragePooling2D()(keras.layers.BatchNormalization(name="norm")(features))
    model = keras.Model(inputs, outputs)
    BatchStatistics(model).renew([IMAGES[:20], IMAGES[20:36], IMAGES[36:]])
    features = np.asarray(model.get_layer("conv")(IMAGES), np.float64).reshape(-1, 5)
    np.testing.assert_allclose(model.get_layer("norm").moving_mean, features.mean(0), rtol=FLOAT32, atol=SINGLE)
    np.testing.assert_allclose(model.get_layer("norm").moving_variance, features.var(0), rtol=FLOAT32)


def test_pooled_moments_are_those_of_all_values_far_from_zero_too() -> None:
    values = np.random.default_rng(0).normal(1e6, 1.0, (30, 2))
    parts = np.split(values, [7, 19])
    mean, variance = pooled([Moments(len(part), part.mean(0), part.var(0)) for part in parts])
    np.testing.assert_allclose(mean, values.mean(0), rtol=ROUNDING)
    np.testing.assert_allclose(variance, values.var(0), rtol=SINGLE)


def test_a_norm_that_is_called_twice_has_the_statistics_of_both_calls() -> None:
    norm = keras.layers.BatchNormalization()
    inputs = keras.Input((3,))
    model = keras.Model(inputs, norm(inputs) + norm(2.0 * inputs + 1.0))
    x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    BatchStatistics(model).renew([x[:20], x[20:]])
    both = np.concatenate([x, 2 * x + 1]).astype(np.float64)
    np.testing.assert_allclose(norm.moving_mean, both.mean(0), rtol=FLOAT32, atol=SINGLE)
    np.testing.assert_allclose(norm.moving_variance, both.var(0), rtol=FLOAT32)


def test_frozen_norms_and_weights_stay_as_they_are() -> None:
    model = network()
    frozen = model.get_layer("head.bn")
    frozen.trainable = False
    before = {name: np.array(v) for name, v in named_weights(model).items()}
    BatchStatistics(model).renew([IMAGES])
    after = {name: np.array(v) for name, v in named_weights(model).items()}
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {name for name in before if "/moving_" in name and "head/" not in name}


@pytest.mark.parametrize("norm", ["none", "group"])
def test_a_network_without_batch_norm_needs_no_pass(norm: str) -> None:
    model = build_model("mlp", input_shape=(4, 4, 1), num_classes=3, depth=1, width=8, norm=norm)
    statistics = BatchStatistics(model)
    assert not statistics.is_needed
    statistics.renew(iter(()))
