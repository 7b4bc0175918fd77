"""The learning coefficient against closed forms: quadratic losses, a deep linear network, a singular toy."""

from __future__ import annotations

import math
from dataclasses import replace

import keras
import numpy as np
import pytest
from scipy.optimize import minimize
from tolerances import CLOSED_FORM, FLOAT32, ROUNDING

from infomcr_cli.errors import InputError
from infomcr_cli.measures.langevin import Target, langevin_losses, stable_step, stiffness
from infomcr_cli.measures.library.learning_coefficient import (
    CoefficientEstimate,
    estimate,
    inverse_temperature,
    relative_localisation,
    sampled,
    target_of,
    value_of,
)
from infomcr_cli.measures.loss_surface import LossSurface
from tests.measures.reference import CLASSES, full_hessian, perceptron, samples, weights


def quadratic(curvatures: np.ndarray, *, scale: float, localisation: float, minimum: float = 0.25) -> Target:
    """L(w) = minimum + Σ h_i (w_i - 1)²/2."""
    h = np.asarray(curvatures, np.float64)
    return Target(
        lambda w: minimum + float(h @ (w - 1) ** 2) / 2,
        lambda w, rng: h * (w - 1),
        np.ones(len(h)),
        scale,
        localisation,
    )


def found(target: Target, *, steps: int, relative: float = 0.5, seed: int = 0):
    losses = sampled(target, chains=4, steps=steps, seed=seed, relative=relative).losses
    return estimate(losses, target.loss(target.minimum), target.scale)


def test_inverse_temperature_of_a_thousand_samples():
    assert inverse_temperature(1000) == pytest.approx(144.7648, abs=FLOAT32)


def test_quadratic_loss_gives_half_the_number_of_weights():
    one = found(quadratic(np.full(10, 3.0), scale=100.0, localisation=1e-3), steps=8000, relative=0.1)
    assert one.problem is None
    assert one.value == pytest.approx(5.0, abs=4 * one.std_error + 5 * 0.026)  # 1/(1 - εa/4) of the step


def test_localisation_makes_it_an_effective_dimension():
    h, scale, gamma = np.geomspace(1e-4, 1.0, 8), 100.0, 5.0
    truth = 0.5 * np.sum(scale * h / (scale * h + gamma))
    one = found(quadratic(h, scale=scale, localisation=gamma), steps=12_000, relative=0.05)
    assert one.problem is None
    assert one.std_error < 0.1
    assert one.value == pytest.approx(truth, abs=4 * one.std_error + 0.02)


def test_a_chain_of_a_flat_loss_is_exact_at_any_step():
    flat = Target(lambda w: float(w @ w), lambda w, rng: np.zeros_like(w), np.zeros(50), 1.0, 4.0)  # records ‖w‖²
    losses = langevin_losses(flat, step=3.0, steps=4000, every=1, seed=(0, 0))
    assert losses.mean() == pytest.approx(50 / 4.0, rel=0.02)


def test_standard_error_is_that_of_repeated_estimates():
    target = quadratic(np.full(6, 2.0), scale=50.0, localisation=1.0)
    every = [found(target, steps=400, seed=seed) for seed in range(60)]
    spread = np.std([one.value for one in every], ddof=1)
    assert 0.7 < spread / np.mean([one.std_error for one in every]) < 1.4


def reduced_rank(scale: float, localisation: float) -> Target:
    """A two-layer linear network 2-2-2 whose true map is zero: L = ‖W₂W₁‖²/2."""

    def split(w):
        return w[:4].reshape(2, 2), w[4:].reshape(2, 2)

    def loss(w):
        first, second = split(w)
        return float(np.sum((second @ first) ** 2)) / 2

    def gradient(w, rng):
        first, second = split(w)
        product = second @ first
        return np.concatenate([(second.T @ product).ravel(), (product @ first.T).ravel()])

    return Target(loss, gradient, np.zeros(8), scale, localisation)


def test_deep_linear_network_has_the_coefficient_of_aoyagi_and_watanabe():
    # M = N = H = 2, r = 0: λ = (-(H+r)² - M² - N² + 2(H+r)M + 2(H+r)N + 2MN)/8 = 3/2, far from W/2 = 4
    one = found(reduced_rank(1e5, 1.0), steps=40_000, relative=0.5)
    assert one.problem is None
    assert one.value == pytest.approx(1.5, abs=0.12 + 3 * one.std_error)


def crossing_valleys(scale: float, localisation: float) -> Target:
    """L = x²y²/2, whose coefficient is 1/2 with multiplicity 2."""

    def gradient(w, rng):
        x, y = w
        return np.array([x * y**2, x**2 * y])

    return Target(lambda w: float(w[0] ** 2 * w[1] ** 2) / 2, gradient, np.zeros(2), scale, localisation)


@pytest.mark.parametrize("scale", [10.0, 1000.0])
def test_singular_toy_agrees_with_an_integral_on_a_grid(scale):
    axis = np.linspace(-6, 6, 4001)
    x, y = axis[:, None], axis[None, :]
    energy = scale * x**2 * y**2 / 2
    density = np.exp(-energy - (x**2 + y**2) / 2)
    truth = float((energy * density).sum() / density.sum())
    one = found(crossing_valleys(scale, 1.0), steps=20_000, relative=0.05)
    assert one.problem is None
    assert one.value == pytest.approx(truth, abs=4 * one.std_error + 0.05 * truth)
    assert one.value < 0.5  # it tends to 1/2 from below, as 1 / ln n: never to W/2 = 1


def test_chains_that_still_climb_are_not_converged():
    h = np.concatenate([[1.0], np.full(200, 0.5)])
    one = found(quadratic(h, scale=1e4, localisation=1e-6), steps=160, relative=0.002)
    assert "R-hat" in one.problem


def test_flat_directions_that_no_statistic_sees_are_not_converged_either():
    h = np.concatenate([[1.0], np.full(200, 1e-4)])  # one stiff direction makes the steps short for all others
    target = quadratic(h, scale=1e4, localisation=1.0)
    chains = sampled(target, chains=4, steps=200, seed=3)
    assert chains.burn_in == 100  # the most
    assert estimate(chains.losses, 0.25, target.scale).value < 10  # the truth is 50.5
    still = replace(
        chains, losses=np.random.default_rng(0).standard_normal((4, 400)) + 1
    )  # they agree and do not drift
    assert "flat" in value_of(still, 0.25, target).extras["reason"]
    assert value_of(replace(still, burn_in=10**6), 0.25, target).value is not None


def test_burn_in_is_four_relaxation_times_and_what_is_left_is_recorded():
    target = quadratic(np.ones(5), scale=9.0, localisation=1.0)
    chains = sampled(target, chains=2, steps=200, seed=0, relative=0.5)
    assert chains.burn_in == int(4 / chains.step)
    assert chains.losses.shape == (2, (200 - chains.burn_in) // 8)
    value = value_of(sampled(target, chains=4, steps=1000, seed=0), 0.25, target)
    assert value.value == pytest.approx(0.5 * 5 * 9 / 10, abs=4 * value.std_error + 0.3)


def test_relative_localisation_makes_a_flat_posterior_as_wide_as_its_radius():
    w = np.random.default_rng(0).standard_normal(2000) * 5
    pull = relative_localisation(w, 0.3)
    assert np.sqrt(len(w) / pull) == pytest.approx(0.3 * np.linalg.norm(w), rel=ROUNDING)
    with pytest.raises(InputError, match="non-zero weights"):
        relative_localisation(np.zeros(3), 0.3)


def test_stiffness_is_the_largest_curvature_and_bounds_the_step():
    target = quadratic(np.geomspace(1e-3, 7.0, 20), scale=10.0, localisation=2.0)
    assert stiffness(target, (0, 0)) == pytest.approx(7.0, rel=0.05)
    assert stable_step(target, relative=0.5, seed=(0, 0)) == pytest.approx(0.5 / 72.0, rel=0.05)


def test_reason_tells_a_number_just_beyond_its_limit_from_the_limit():
    one = CoefficientEstimate(value=1.0, std_error=0.1, rhat=1.1004, draws=500.0)
    assert "R-hat 1.1004 above 1.1" in one.problem
    assert "worth 19.99 independent draws only, fewer than 20" in replace(one, rhat=1.0, draws=19.99).problem


def test_chains_are_reproducible_and_differ_by_their_seed():
    target = quadratic(np.ones(3), scale=10.0, localisation=1.0)
    first, again, other = (
        langevin_losses(target, step=0.01, steps=50, every=5, seed=seed) for seed in ((1, 0), (1, 0), (1, 1))
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_chain_that_diverges_gives_infinite_losses():
    target = quadratic(np.ones(2), scale=1.0, localisation=1e-6)
    assert np.isinf(sampled(target, chains=2, steps=4000, seed=0, relative=50.0).losses).all()


def test_posterior_of_a_network_has_its_loss_its_gradient_and_its_temperature():
    model, (images, labels) = perceptron(), samples((4,), count=24)
    surface = LossSurface(model, images, labels)
    target = target_of(surface, batch=24, localisation=7.0)
    np.testing.assert_array_equal(target.minimum, weights(model))
    assert (target.scale, target.localisation) == (24 / math.log(24), 7.0)
    assert target.loss(target.minimum) == surface.loss(surface.weights)
    gradient = target.gradient(target.minimum, np.random.default_rng(0))
    np.testing.assert_allclose(gradient, surface.loss_and_gradient(surface.weights)[1], rtol=CLOSED_FORM)


def test_stochastic_gradient_is_unbiased():
    surface = LossSurface(perceptron(), *samples((4,), count=24))
    target, rng = target_of(surface, batch=6, localisation=1.0), np.random.default_rng(0)
    mean = np.mean([target.gradient(surface.weights, rng) for _ in range(400)], axis=0)
    truth = surface.loss_and_gradient(surface.weights)[1]
    assert np.linalg.norm(mean - truth) < 0.1 * np.linalg.norm(truth)


def test_network_at_its_minimum_agrees_with_its_hessian():
    model = keras.Sequential([keras.Input((4,), dtype="float64"), keras.layers.Dense(CLASSES, dtype="float64")])
    images, labels = samples((4,), count=70)
    surface, gamma = LossSurface(model, images, labels), 20.0
    minimum = minimize(surface.loss_and_gradient, surface.weights, jac=True, options={"gtol": 1e-7}).x
    model.set_weights([minimum[: 4 * CLASSES].reshape(4, CLASSES), minimum[4 * CLASSES :]])
    surface = LossSurface(model, images, labels)
    target = target_of(surface, batch=len(labels), localisation=gamma)
    b = target.scale * np.linalg.eigvalsh(full_hessian(model, images, labels))
    truth = 0.5 * np.sum(b / (b + gamma))
    one = estimate(sampled(target, chains=4, steps=200, seed=0).losses, target.loss(target.minimum), target.scale)
    assert one.problem is None
    assert truth > 1
    assert one.std_error < 0.05 * truth
    assert one.value == pytest.approx(truth, abs=4 * one.std_error)
