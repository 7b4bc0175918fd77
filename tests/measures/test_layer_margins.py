"""Margins at the input and at hidden layers: closed form of a linear model, finite differences, exact distances."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from tolerances import AUTODIFF

from infomcr_cli.errors import InputError
from infomcr_cli.measures.layer_margins import place_margins
from infomcr_cli.measures.library.layer_margins import _summary, mixed_in_classes
from infomcr_cli.measures.loss_surface import LossSurface
from tests.measures.reference import CLASSES, convolutional, perceptron, samples

L = keras.layers


def places(model, images, labels):
    return {one.place: one for one in place_margins(LossSurface(model, images, labels))}


def test_margin_of_a_linear_model_is_the_distance_from_its_boundary():
    images, labels = samples((4,), count=90)  # more than one part
    image = keras.Input((4,), dtype="float64")
    model = keras.Model(image, L.Dense(CLASSES, dtype="float64")(image))
    kernel, bias = (np.asarray(w) for w in model.get_weights())
    z = images @ kernel + bias
    truth = []
    for i, y in enumerate(labels):
        k = max((c for c in range(CLASSES) if c != y), key=lambda c: z[i, c])
        truth.append((z[i, y] - z[i, k]) / np.linalg.norm(kernel[:, y] - kernel[:, k]))
    (one,) = places(model, images, labels).values()
    assert one.place == "input"
    np.testing.assert_allclose(one.margins, truth, rtol=1e-9)
    assert one.variation == pytest.approx(images.var(axis=0).sum(), rel=1e-9)
    np.testing.assert_allclose(one.normalised, np.array(truth) / np.sqrt(images.var(axis=0).sum()), rtol=1e-9)


def test_margins_of_a_perceptron_are_those_of_its_second_half():
    model, (images, labels) = perceptron(), samples((4,))
    hidden = model.layers[1].name
    found = places(model, images, labels)
    assert list(found) == ["input", hidden]
    features = np.asarray(keras.Model(model.input, model.layers[1].output)(images))
    image = keras.Input((5,), dtype="float64")
    head = keras.Model(image, L.Dense(CLASSES, dtype="float64")(image))
    head.set_weights(model.layers[2].get_weights())
    np.testing.assert_allclose(found[hidden].margins, places(head, features, labels)["input"].margins, rtol=1e-9)


def test_input_margins_of_a_convolutional_network_agree_with_finite_differences():
    model, (images, labels) = convolutional(), samples((6, 6, 2), count=3)
    found = places(model, images, labels)["input"]

    def difference(x, y, k):
        z = np.asarray(model(x[None], training=False))[0]
        return z[y] - z[k]

    for i, y in enumerate(labels):
        z = np.asarray(model(images[i : i + 1], training=False))[0]
        k = max((c for c in range(CLASSES) if c != y), key=lambda c: z[c])
        slope = np.zeros(images[i].size)
        for j in range(images[i].size):
            step = np.zeros(images[i].size)
            step[j] = 1e-6
            ahead, behind = (difference(images[i] + sign * step.reshape(images[i].shape), y, k) for sign in (1, -1))
            slope[j] = (ahead - behind) / 2e-6
        assert found.margins[i] == pytest.approx((z[y] - z[k]) / np.linalg.norm(slope), rel=AUTODIFF)


def test_hidden_layers_are_those_that_everything_passes_through():
    model, (images, labels) = convolutional(), samples((6, 6, 2), count=6)
    names = list(places(model, images, labels))
    kinds = {layer.name: type(layer).__name__ for layer in model.layers}
    assert names[0] == "input"
    assert kinds[names[1]] == "Conv2D"  # the stem
    assert model.layers.index(model.get_layer(names[1])) == 1
    assert kinds[names[-1]] == "GlobalAveragePooling2D"
    branches = [layer.name for layer in model.layers if isinstance(layer, L.Conv2D)][1:]
    assert not set(branches) & set(names)


def test_normalised_margins_do_not_change_with_scale_of_layers_and_logits():
    model, (images, labels) = perceptron(bias=False), samples((4,))
    before = places(model, images, labels)
    first, second = model.trainable_variables
    first.assign(3.0 * first), second.assign(second * 5.0)
    for name, one in places(model, images, labels).items():
        np.testing.assert_allclose(one.normalised, before[name].normalised, rtol=1e-9)


def test_network_that_is_no_graph_has_margins_at_its_linear_layers():
    class Own(keras.Model):
        def __init__(self):
            super().__init__(dtype="float64")
            self.last, self.first = L.Dense(CLASSES, dtype="float64"), L.Dense(5, "tanh", dtype="float64")

        def call(self, x):
            return self.last(self.first(x))

    model, (images, labels) = Own(), samples((4,))
    found = places(model, images, labels)
    assert list(found) == ["input", model.first.name]
    features = np.asarray(model.first(images))
    assert found[model.first.name].variation == pytest.approx(features.var(axis=0).sum(), rel=1e-9)


def test_structured_inputs_count_as_one_vector():
    a, b = keras.Input((2,), name="a", dtype="float64"), keras.Input((2,), name="b", dtype="float64")
    joined = L.Concatenate(dtype="float64")([a, b])
    model = keras.Model({"a": a, "b": b}, L.Dense(CLASSES, dtype="float64")(joined))
    images, labels = samples((4,))
    image = keras.Input((4,), dtype="float64")
    plain = keras.Model(image, L.Dense(CLASSES, dtype="float64")(image))
    plain.set_weights(model.get_weights())
    both = places(model, {"a": images[:, :2], "b": images[:, 2:]}, labels)["input"]
    np.testing.assert_allclose(both.margins, places(plain, images, labels)["input"].margins, rtol=1e-9)


def test_token_inputs_have_margins_at_the_embedding_but_cannot_be_mixed():
    tokens = np.random.default_rng(0).integers(0, 9, (12, 5)).astype(np.int32)
    image = keras.Input((5,), dtype="int32")
    model = keras.Model(image, L.Dense(CLASSES)(L.GlobalAveragePooling1D()(L.Embedding(9, 4)(image))))
    found = places(model, tokens, np.arange(12) % CLASSES)
    assert "input" not in found
    assert next(iter(found)) == model.layers[1].name
    with pytest.raises(InputError, match="floating-point"):
        mixed_in_classes(tokens, np.arange(12) % CLASSES, 0)


def test_samples_without_a_gradient_are_left_out_and_counted():
    image = keras.Input((2,), dtype="float64")
    x = L.Dense(4, "relu", use_bias=False, kernel_initializer="ones", dtype="float64")(image)
    model = keras.Model(image, L.Dense(CLASSES, dtype="float64")(x))
    images = np.array([[1.0, 2.0], [-1.0, -2.0], [2.0, 1.0], [0.5, 3.0]])  # the second is dead
    found = places(model, images, np.array([0, 1, 2, 0]))["input"]
    assert (found.flat, len(found.margins)) == (1, 3)
    assert np.isfinite(found.margins).all()


def test_a_network_that_ignores_its_input_has_no_margins():
    image = keras.Input((2,), dtype="float64")
    model = keras.Model(image, L.Dense(CLASSES, kernel_initializer="zeros", dtype="float64")(image))
    assert places(model, *samples((2,))) == {}


def test_mixed_samples_are_means_of_two_of_one_class():
    images, labels = samples((3,), count=30)
    mixed = mixed_in_classes(images, labels, seed=4)
    for one, label, image in zip(mixed, labels, images, strict=True):
        partner = 2 * one - image
        distances = np.abs(images - partner).max(axis=1)
        assert distances.min() < 1e-12
        assert labels[distances.argmin()] == label
        assert not np.allclose(partner, image)


def test_margins_leave_the_network_as_it_is():
    model, (images, labels) = convolutional(), samples((6, 6, 2), count=6)
    before, logits = [np.array(v) for v in model.variables], np.asarray(model(images, training=False))
    places(model, images, labels)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    np.testing.assert_array_equal(tf.convert_to_tensor(model(images, training=False)), logits)


def test_equal_samples_have_no_margin_distribution_and_the_reason_is_that_nothing_varies():
    for seed in range(4):  # the mean of equal numbers differs from them by rounding
        images = np.repeat(np.random.default_rng(seed).standard_normal((1, 4)).astype(np.float32), 97, axis=0)
        assert places(perceptron(), images, np.zeros(97, np.int32)) == {}
    assert "vary" in _summary([]).extras["reason"]
