"""Volumes by rays against closed forms: balls, ellipsoids, boxes, and a confident network."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
from tolerances import AUTODIFF, CLOSED_FORM, ITERATED

from infomcr_cli.errors import InputError
from infomcr_cli.measures.library.basin_volume import basin_of
from infomcr_cli.measures.loss_surface import LossSurface
from infomcr_cli.measures.ray_volume import crossing_radius, log_ball_volume, ray_scales, ray_volume
from tests.measures.reference import perceptron, samples


def volume(rise, size, *, height=0.1, rays=20, seed=0, scales=None):
    return ray_volume(
        rise, np.ones(size) if scales is None else scales, height=height, rays=rays, seed=(seed,), guess=1.0
    )


def ellipsoid(h, height):
    """ln of the volume where Σ h_i δ_i²/2 < c."""
    return log_ball_volume(len(h)) + len(h) / 2 * math.log(2 * height) - 0.5 * float(np.log(h).sum())


@pytest.mark.parametrize("size", [1, 2, 3, 1000, 3_000_000])
def test_ball_is_exact_from_any_ray(size):
    h = np.full(size, 4.0)
    one = volume(lambda d: 2.0 * float(d @ d), size, rays=2)
    assert one.value == pytest.approx(ellipsoid(h, 0.1), rel=CLOSED_FORM)
    assert one.std_error < 1e-6 * max(1, size)


@pytest.mark.parametrize("size", [3, 12])
def test_ellipsoid_within_its_standard_error_without_scales(size):
    h = np.geomspace(0.5, 5.0, size)
    one = volume(lambda d: float(h @ d**2) / 2, size, rays=3000)
    assert one.std_error < 0.2
    assert one.value == pytest.approx(ellipsoid(h, 0.1), abs=4 * one.std_error)


def test_scales_along_the_axes_make_an_ellipsoid_exact():
    h = np.geomspace(1e-4, 1e4, 60)
    one = volume(lambda d: float(h @ d**2) / 2, 60, rays=3, scales=h**-0.5)
    assert one.value == pytest.approx(ellipsoid(h, 0.1), rel=ITERATED)
    assert one.effective == pytest.approx(3)


def test_scales_found_by_pilot_rays_are_those_of_a_diagonal_hessian_and_keep_the_volume():
    h = np.geomspace(0.1, 10.0, 30)

    def rise(d):
        return float(h @ d**2) / 2

    scales, _ = ray_scales(lambda d: h * d, rise, 30, height=0.1, pilots=2, seed=(0,))
    assert np.log(scales).sum() == pytest.approx(0, abs=1e-9)
    expected = (h + 0.1 * h.mean()) ** -0.5
    np.testing.assert_allclose(scales / scales[0], expected / expected[0], rtol=ITERATED)
    plain, scaled = volume(rise, 30, rays=400), volume(rise, 30, rays=400, scales=scales)
    assert scaled.std_error < 0.5 * plain.std_error
    assert scaled.value == pytest.approx(ellipsoid(h, 0.1), abs=4 * scaled.std_error)


def test_scales_never_bias_a_volume_that_is_no_ellipsoid():
    # ‖d‖_4⁴ < c has the volume (2 Γ(5/4))^W / Γ(W/4 + 1) · c^(W/4)
    size, height = 5, 0.1
    truth = size * math.log(2 * math.gamma(1.25)) - math.lgamma(size / 4 + 1) + size / 4 * math.log(height)
    for scales in (np.ones(size), np.array([0.5, 2.0, 1.0, 1.5, 0.7])):
        one = volume(lambda d: float(np.sum(d**4)), size, rays=4000, scales=scales)
        assert one.value == pytest.approx(truth, abs=4 * one.std_error)


def test_volume_of_a_scaled_loss_moves_by_its_closed_form():
    h = np.geomspace(1, 3, 12)
    plain, twice = (volume(lambda d, c=c: c * float(h @ d**2) / 2, 12) for c in (1.0, 2.0))
    assert twice.value - plain.value == pytest.approx(-6 * math.log(2), abs=AUTODIFF)


def test_standard_error_is_that_of_repeated_estimates():
    h = np.geomspace(0.5, 5.0, 10)
    every = [volume(lambda d: float(h @ d**2) / 2, 10, rays=60, seed=seed) for seed in range(50)]
    spread = np.std([one.value for one in every], ddof=1)
    assert 0.7 < spread / np.mean([one.std_error for one in every]) < 1.4


@pytest.mark.parametrize(
    "rise",
    [
        lambda r: r**2,
        lambda r: r**4,
        lambda r: 50 * r,
        lambda r: math.inf if r > 5 else 1e-9 * r,
        lambda r: math.nan if r > 5 else r**2 - 1,
        lambda r: max(0.0, r - 3) ** 2,
        lambda r: 1e20 * r**6,
    ],
)
@pytest.mark.parametrize("guess", [1e-3, 1.0, 1e3])
def test_crossing_is_bracketed_from_any_guess(rise, guess):
    radius = crossing_radius(rise, 0.1, guess)
    assert not rise(radius * (1 - 1e-5)) > 0.1
    assert not rise(radius * (1 + 1e-5)) < 0.1


def test_few_passes_find_a_quadratic_crossing():
    tried = []
    crossing_radius(lambda r: tried.append(r) or 3 * r**2, 0.1, 1.0)
    assert len(tried) <= 6


def test_a_loss_that_never_rises_is_refused():
    with pytest.raises(InputError, match="must rise"):
        volume(lambda d: 0.0, 3)


def two_weights() -> keras.Model:
    """Two trainable weights before a fixed layer: the loss is convex in them."""
    image = keras.Input((2,), dtype="float64")
    head = keras.layers.Dense(3, trainable=False, dtype="float64")
    model = keras.Model(image, head(keras.layers.Dense(1, use_bias=False, dtype="float64")(image)))
    head.set_weights([np.array([[3.0, 0.0, -2.0]]), np.zeros(3)])
    model.layers[1].kernel.assign([[0.4], [-0.3]])
    return model


def test_basin_of_a_network_of_two_weights_agrees_with_a_grid():
    images, labels = samples((2,), count=40)
    surface, height = LossSurface(two_weights(), images, labels), 0.5
    axis = np.linspace(-4, 4, 401)
    grid = surface.weights + np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    logits = (images @ grid.T)[:, :, None] * np.array([3.0, 0.0, -2.0])  # [N, grid, C]
    chosen = np.take_along_axis(logits, np.asarray(labels)[:, None, None], axis=2)[:, :, 0]
    losses = np.mean(np.logaddexp.reduce(logits, axis=2) - chosen, axis=0)
    area = np.mean(losses - surface.loss(surface.weights) < height) * (8 + 8 / 400) ** 2
    found = basin_of(surface, height=height, rays=100, seed=0)
    assert found.value == pytest.approx(math.log(area), abs=4 * found.std_error + 0.01)


def test_basin_of_a_network_is_reproducible_and_grows_with_the_rise():
    surface = LossSurface(perceptron(), *samples((4,)))
    small, again, large = (basin_of(surface, height=c, rays=4, seed=0).value for c in (0.1, 0.1, 0.4))
    assert small == again
    assert large > small
