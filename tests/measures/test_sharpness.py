"""Sharpness, relative flatness and the noise scale against closed forms, corners of a box and a full Hessian."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm
from tolerances import AUTODIFF, CLOSED_FORM

from infomcr_cli.errors import InputError
from infomcr_cli.measures.cross_entropy import mean_loss
from infomcr_cli.measures.library.noise_scale import crossing
from infomcr_cli.measures.library.noise_scale import crossing_scale as noise_scale
from infomcr_cli.measures.library.relative_flatness import closed_form_flatness as relative_flatness
from infomcr_cli.measures.library.relative_flatness import relative_flatness_of
from infomcr_cli.measures.library.sharpness import ascent_sharpness
from infomcr_cli.measures.library.sharpness import highest_rise as worst_case_sharpness
from infomcr_cli.measures.loss_surface import LossSurface
from infomcr_cli.measures.value import student_interval
from tests.measures.reference import CLASSES, convolutional, perceptron, samples, with_hessian


def linear(inputs: int, weights: np.ndarray) -> keras.Model:
    """Logits x W, float64, without offset."""
    image = keras.Input((inputs,), dtype="float64")
    model = keras.Model(image, keras.layers.Dense(weights.shape[1], use_bias=False, dtype="float64")(image))
    model.layers[-1].kernel.assign(weights)
    return model


def logistic(weights, images, labels):
    """Loss and gradient of multinomial logistic regression, written out."""
    logits = images @ weights
    p = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
    return mean_loss(logits, labels), images.T @ (p - np.eye(CLASSES)[labels]) / len(labels)


@pytest.mark.parametrize("adaptive", [False, True])
def test_ascent_sharpness_of_a_linear_model_has_a_closed_form(adaptive):
    images, labels = samples((4,), count=30)
    weights = np.random.default_rng(5).standard_normal((4, CLASSES))
    found = ascent_sharpness(LossSurface(linear(4, weights), images, labels), rho=0.3, size=10, adaptive=adaptive)
    truth = []
    for start in (0, 10, 20):
        part = images[start : start + 10], labels[start : start + 10]
        before, g = logistic(weights, *part)
        t = np.abs(weights) if adaptive else 1.0
        truth.append(logistic(weights + 0.3 * t**2 * g / np.linalg.norm(t * g), *part)[0] - before)
    np.testing.assert_allclose(found, truth, rtol=CLOSED_FORM)


def test_adaptive_sharpness_is_invariant_to_rescaling_rectified_layers():
    model, (images, labels) = perceptron(bias=False), samples((4,))

    def both():
        surface = LossSurface(model, images, labels)
        return [ascent_sharpness(surface, rho=0.2, size=12, adaptive=adaptive).mean() for adaptive in (True, False)]

    before = both()
    first, second = model.trainable_variables
    first.assign(3.0 * first), second.assign(second / 3.0)
    after = both()
    assert after[0] == pytest.approx(before[0], rel=CLOSED_FORM)
    assert after[1] != pytest.approx(before[1], rel=1e-2)


def test_worst_case_sharpness_is_the_highest_corner_of_the_box():
    images, labels = samples((3,), count=20)  # the loss of a linear model is convex: its maximum is at a corner
    weights = np.random.default_rng(6).standard_normal((3, CLASSES))
    surface, epsilon = LossSurface(linear(3, weights), images, labels), 0.2
    width = epsilon * (np.abs(surface.weights) + 1)
    corners = [surface.loss(surface.weights + width * c) for c in itertools.product([-1, 1], repeat=surface.size)]
    base = surface.loss(surface.weights)
    truth = 100 * (max(corners) - base) / (1 + base)
    assert worst_case_sharpness(surface, epsilon=epsilon, iterations=10) == pytest.approx(truth, rel=CLOSED_FORM)


def test_worst_case_sharpness_grows_with_the_box_and_with_more_iterations():
    surface = LossSurface(convolutional(), *samples((6, 6, 2)))
    small, large = (worst_case_sharpness(surface, epsilon=e, iterations=5) for e in (1e-4, 1e-3))
    assert 0 < small < large
    assert worst_case_sharpness(surface, epsilon=1e-2, iterations=20) >= worst_case_sharpness(
        surface, epsilon=1e-2, iterations=1
    )


@pytest.mark.parametrize("build", [perceptron, convolutional])
def test_relative_flatness_agrees_with_the_full_hessian(build):
    model, images, labels, hessian = with_hessian(build)
    kernel = np.asarray(model.layers[-1].kernel)  # [F, C]
    bias = model.layers[-1].bias
    stop = len(hessian) - bias.shape[0]
    block = hessian[stop - kernel.size : stop, stop - kernel.size : stop].reshape(*kernel.shape, *kernel.shape)
    traces = np.einsum("fsft->st", block)
    truth = np.sum((kernel.T @ kernel) * traces)
    assert relative_flatness_of(LossSurface(model, images, labels)) == pytest.approx(truth, rel=AUTODIFF)


def test_relative_flatness_of_a_confident_network_is_positive():
    kernel, features = np.eye(2), np.ones((1, 2))
    gap = 80.0
    tiny = np.exp(-gap)
    found = relative_flatness(kernel, features, np.array([[0.0, gap]]))
    assert found == pytest.approx(2 * 2 * tiny, rel=CLOSED_FORM)  # ‖φ‖² p₀p₁‖w₀ - w₁‖²


def test_relative_flatness_needs_a_dense_head():
    image = keras.Input((4,), dtype="float64")
    model = keras.Model(image, keras.layers.Dense(3, activation="elu", dtype="float64")(image))
    with pytest.raises(InputError, match="dense layer"):
        relative_flatness_of(LossSurface(model, *samples((4,))))


@pytest.mark.parametrize("magnitude_aware", [False, True])
def test_noise_scale_of_a_linear_model_has_a_closed_form(magnitude_aware):
    rng = np.random.default_rng(7)
    weights, images = rng.standard_normal((6, 2)), rng.standard_normal((400, 6))
    labels = np.argmax(images @ weights, axis=1).astype(np.int32)
    lead = np.abs(images @ (weights[:, 0] - weights[:, 1]))

    def error(sigma):  # the lead of a sample is normal: each weight adds its own variance
        variance = (sigma * weights) ** 2 + 1e-6 if magnitude_aware else np.full_like(weights, sigma**2)
        return norm.cdf(-lead / np.sqrt(images**2 @ variance.sum(axis=1))).mean()

    truth = brentq(lambda s: error(s) - 0.1, 1e-4, 10)
    surface = LossSurface(linear(6, weights), images, labels)
    sigma, standard_error = noise_scale(surface, drop=0.1, draws=40, seed=0, magnitude_aware=magnitude_aware)
    assert 0 < standard_error < 0.2 * truth
    assert abs(sigma - truth) < 3 * standard_error


def test_standard_error_of_a_crossing_is_calibrated():
    def found(seed):
        noise = np.random.default_rng(seed).standard_normal(10) * 0.02
        return crossing(lambda sigma: sigma / (1 + sigma) + noise, 0.1)

    values, errors = np.array([found(seed) for seed in range(200)]).T
    assert values.mean() == pytest.approx(1 / 9, rel=0.02)
    assert 0.8 < values.std() / np.sqrt(np.mean(errors**2)) < 1.25


def test_interval_of_a_crossing_of_five_draws_has_coverage():
    def covers(seed):
        noise = np.random.default_rng(seed).standard_normal(5) * 0.02
        low, high = student_interval(*crossing(lambda sigma: sigma / (1 + sigma) + noise, 0.1), 5)
        return low <= 1 / 9 <= high

    assert np.mean([covers(seed) for seed in range(1000)]) == pytest.approx(0.95, abs=0.025)


def test_magnitude_aware_noise_scale_is_scale_invariant():
    images, labels = samples((4,), count=200)
    weights = np.random.default_rng(8).standard_normal((4, CLASSES))
    labels = np.argmax(images @ weights, axis=1).astype(np.int32)
    found = [
        noise_scale(
            LossSurface(linear(4, c * weights), images, labels),
            drop=0.1,
            draws=5,
            seed=0,
            magnitude_aware=True,
            floor=0.0,
        )[0]
        for c in (1.0, 10.0)
    ]
    assert found[0] == pytest.approx(found[1], rel=CLOSED_FORM)


def test_noise_scale_refuses_an_unreachable_accuracy_drop():
    images, labels = samples((4,), count=30)
    surface = LossSurface(linear(4, np.zeros((4, CLASSES))), images, labels)
    with pytest.raises(InputError, match="accuracy"):
        noise_scale(surface, drop=0.9, draws=2, seed=0, magnitude_aware=False)


def test_search_for_a_noise_scale_tries_as_many_values_as_forecast():
    from infomcr_cli.measures.library.noise_scale import PILOT, TRIES, _pilot

    alone, together = [], []
    for scale in (1e-4, 1e-2, 0.03, 1.0, 30.0):
        sigmas, seen = [], set()
        near = _pilot(lambda sigma, s=scale, seen=seen: seen.add(sigma) or np.full(1, sigma / (sigma + s)), 0.1)
        alone.append(len(seen))
        found, _ = crossing(
            lambda sigma, s=1.2 * scale, seen=sigmas: seen.append(sigma) or np.full(2, sigma / (sigma + s)), 0.1, near
        )
        together.append(len(sigmas))
        assert found == pytest.approx(1.2 * scale / 9, rel=0.01)
    assert np.mean(alone) == pytest.approx(PILOT, abs=2)
    assert np.mean(together) == pytest.approx(TRIES, abs=1)
