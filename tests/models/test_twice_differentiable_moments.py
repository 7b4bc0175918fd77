"""Second derivatives of networks with norms, against finite differences of first ones."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tolerances import ROUNDING

from infomcr_cli.measures.loss_surface import SurfacePasses
from infomcr_cli.models.keras_internals import twice_differentiable_moments
from tests.training import reference as ref


@pytest.mark.parametrize("keepdims", [False, True])
def test_moments_equal_those_of_numpy(keepdims: bool) -> None:
    x = np.random.default_rng(0).normal(3, 2, (4, 5, 6))
    with twice_differentiable_moments():
        mean, variance = tf.nn.moments(x, [0, 2], keepdims=keepdims)
    np.testing.assert_allclose(mean, x.mean((0, 2), keepdims=keepdims), rtol=ROUNDING)
    np.testing.assert_allclose(variance, x.var((0, 2), keepdims=keepdims), rtol=ROUNDING)


def test_tf_nn_moments_is_restored() -> None:
    before = tf.nn.moments
    with twice_differentiable_moments():
        assert tf.nn.moments is not before
    assert tf.nn.moments is before


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_hessian_equals_finite_differences_of_the_gradient(norm: str) -> None:
    """With TensorFlow's own moments the product is wrong by a percent."""
    model, (images, labels) = ref.network("wrn", norm=norm, activation="tanh"), ref.batch()
    passes = SurfacePasses(model, "float64")
    weights, (direction,) = ref.arrays(model.trainable_variables), ref.directions(model, 1)

    def gradient(step: float) -> ref.Arrays:
        moved = [w + step * d for w, d in zip(weights, direction, strict=True)]
        return ref.arrays(passes.gradient(passes.values(moved), images, labels)[1])

    product = ref.arrays(passes.hessian_product(passes.values(weights), direction, images, labels))
    slope = [(a - b) / 2e-5 for a, b in zip(gradient(1e-5), gradient(-1e-5), strict=True)]
    assert ref.norm([p - s for p, s in zip(product, slope, strict=True)]) < 1e-5 * ref.norm(slope)
