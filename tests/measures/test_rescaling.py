"""Rescaling changes the weights and not the function."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from tolerances import CLOSED_FORM, ITERATED

from infomcr_cli.errors import InputError
from infomcr_cli.measures.rescaling import rescalable_places, rescale
from infomcr_cli.models import build_model
from tests.measures.reference import convolutional, perceptron, shake_batch_norm

L = keras.layers
pytestmark = pytest.mark.usefixtures("double_precision")


def preserved(model, shape, *, count: int) -> None:
    x = np.random.default_rng(0).standard_normal((4, *shape))
    before, weights = np.asarray(model(x, training=False)), [np.array(v) for v in model.variables]
    places = rescalable_places(model)
    assert len(places) == count
    rescale(places, largest=4.0, rng=np.random.default_rng(1))
    np.testing.assert_allclose(model(x, training=False), before, rtol=ITERATED, atol=CLOSED_FORM)
    changed = [not np.array_equal(v, w) for v, w in zip(model.variables, weights, strict=True)]
    assert any(changed)


def test_rescaled_perceptron_computes_the_same():
    preserved(perceptron(), (4,), count=1)


def test_rescaled_residual_network_computes_the_same():
    preserved(convolutional(), (6, 6, 2), count=2)  # stem before norm; last norm before the head


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("wrn", {"depth": 10, "width": 0.25, "l2": 0.0}),
        ("vgg", {}),
        ("mlp", {}),
    ],
)
def test_rescaled_architectures_compute_the_same(name, settings):
    model = build_model(name, input_shape=(16, 16, 3), num_classes=3, **settings)
    shake_batch_norm(model, 0)
    for layer in model.layers:
        if isinstance(layer, L.BatchNormalization):
            layer.moving_variance.assign(np.abs(np.asarray(layer.moving_variance)) + 0.1)
    places = rescalable_places(model)
    assert places
    preserved(model, (16, 16, 3), count=len(places))


def chain(*layers) -> keras.Model:
    image = keras.Input((6, 6, 2))
    x = image
    for layer in layers:
        x = layer(x)
    return keras.Model(image, L.Dense(3)(L.Flatten()(x)))


@pytest.mark.parametrize(
    "between", [L.ReLU, L.LeakyReLU, lambda: L.MaxPooling2D(2), lambda: L.Dropout(0.3), lambda: L.Activation("relu")]
)
def test_homogeneous_operations_are_passed_through(between):
    preserved(chain(L.Conv2D(3, 3), between()), (6, 6, 2), count=1)


@pytest.mark.parametrize(
    "between",
    [lambda: L.ReLU(max_value=6), lambda: L.Activation("tanh"), L.LayerNormalization, lambda: L.ReLU(threshold=0.1)],
)
def test_other_operations_are_not(between):
    assert rescalable_places(chain(L.Conv2D(3, 3), between())) == []


def test_a_layer_with_two_readers_or_two_calls_is_left_alone():
    image = keras.Input((4,))
    shared, first = L.Dense(4), L.Dense(4, "relu")
    x = first(image)
    model = keras.Model(image, L.Dense(3)(L.Add()([shared(x), shared(L.ReLU()(x))])))
    assert rescalable_places(model) == []


def test_a_network_without_places_is_refused():
    with pytest.raises(InputError, match="rescaled"):
        rescale([], largest=2.0, rng=np.random.default_rng(0))


def test_a_variance_that_epsilon_outweighs_is_left_alone():
    norm = L.BatchNormalization(epsilon=0.5)
    model = chain(L.Conv2D(3, 3), norm, L.Activation("tanh"))
    norm.moving_variance.assign(np.zeros(3))
    (place,) = rescalable_places(model)
    x = np.random.default_rng(0).standard_normal((4, 6, 6, 2))
    before = np.asarray(model(x, training=False))
    place.apply(0.1)
    np.testing.assert_array_equal(model(x, training=False), before)
