"""Second derivatives of networks with norms, against finite differences of first ones."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from infomcr_cli.measures.loss_surface import SurfacePasses
from infomcr_cli.models.keras_internals import twice_differentiable_moments
from tests.training import slow_truth as slow


@pytest.mark.parametrize("keepdims", [False, True])
def test_the_moments_are_those_of_numpy(keepdims):
    x = np.random.default_rng(0).normal(3, 2, (4, 5, 6))
    with twice_differentiable_moments():
        mean, variance = tf.nn.moments(x, [0, 2], keepdims=keepdims)
    np.testing.assert_allclose(mean, x.mean((0, 2), keepdims=keepdims), rtol=1e-12)
    np.testing.assert_allclose(variance, x.var((0, 2), keepdims=keepdims), rtol=1e-12)


def test_they_are_put_back():
    before = tf.nn.moments
    with twice_differentiable_moments():
        assert tf.nn.moments is not before
    assert tf.nn.moments is before


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_a_measured_hessian_is_the_slope_of_the_gradient(norm):
    """With TensorFlow's own moments the product is wrong by a percent."""
    model, (images, labels) = slow.network("wrn", norm=norm, activation="tanh"), slow.batch()
    passes = SurfacePasses(model, "float64")
    weights, (direction,) = slow.arrays(model.trainable_variables), slow.directions(model, 1)

    def gradient(step: float) -> slow.Arrays:
        moved = [w + step * d for w, d in zip(weights, direction, strict=True)]
        return slow.arrays(passes.gradient(passes.values(moved), images, labels)[1])

    product = slow.arrays(passes.hessian_product(passes.values(weights), direction, images, labels))
    slope = [(a - b) / 2e-5 for a, b in zip(gradient(1e-5), gradient(-1e-5), strict=True)]
    assert slow.norm([p - s for p, s in zip(product, slope, strict=True)]) < 1e-5 * slow.norm(slope)
