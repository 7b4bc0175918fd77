"""Average and worst-case sharpness with normalised logits against closed forms, corners and a finer search."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import minimize
from tolerances import CLOSED_FORM, FLOAT32, ITERATED, ROUNDING

from infomcr_cli.measures.library.average_sharpness import noise_rises
from infomcr_cli.measures.library.worst_case_adaptive_sharpness import highest_rise
from infomcr_cli.measures.loss_surface import LossSurface, normalised
from tests.measures.reference import CLASSES, convolutional, perceptron, samples, with_hessian


def quadratic(h):
    return lambda w: (float(w @ h @ w) / 2, h @ w)


def test_normalised_logits_are_centred_and_of_length_one():
    z = np.random.default_rng(0).standard_normal((5, 4)) * 30 + 7
    expected = z - z.mean(axis=1, keepdims=True)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(normalised(tf.constant(z)), expected, rtol=ROUNDING)


def test_equal_logits_are_normalised_to_zero_with_a_finite_gradient():
    z = tf.constant(np.full((1, 3), 2.0))
    with tf.GradientTape() as tape:
        tape.watch(z)
        value = tf.reduce_sum(normalised(z) * tf.constant([[1.0, 2.0, 3.0]], tf.float64))
    assert float(value) == 0.0
    assert np.isfinite(tape.gradient(value, z)).all()


@pytest.mark.parametrize("build", [perceptron, convolutional])
def test_normalised_surface_has_its_own_loss_and_gradient_beside_the_plain_one(build):
    model = build()
    images, labels = samples(model.input_shape[1:], count=12)
    plain, surface = LossSurface(model, images, labels), LossSurface(model, images, labels, readout=normalised)
    before = plain.loss(plain.weights)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels, normalised(model(images, training=False)))
        )
    truth = np.concatenate([np.ravel(g) for g in tape.gradient(loss, [v.value for v in model.trainable_variables])])
    found, gradient = surface.loss_and_gradient(surface.weights)
    assert found == pytest.approx(float(loss), rel=CLOSED_FORM)
    np.testing.assert_allclose(gradient, truth, rtol=1e-7, atol=ROUNDING)
    assert plain.loss(plain.weights) == before != found


def test_scale_of_the_logits_changes_nothing():
    model, (images, labels) = perceptron(bias=False), samples((4,))

    def both():
        surface = LossSurface(model, images, labels, readout=normalised)
        noisy = noise_rises(surface, rho=0.2, draws=3, seed=0, adaptive=True)
        worst = highest_rise(surface.loss_and_gradient, surface.weights, rho=0.1, norm="linf", steps=5)
        return np.array([*noisy, worst])

    before = both()
    model.layers[-1].kernel.assign(7.0 * model.layers[-1].kernel)
    np.testing.assert_allclose(both(), before, rtol=1e-9)


@pytest.mark.parametrize("adaptive", [False, True])
def test_small_noise_gives_the_trace_of_the_hessian(adaptive):
    model, images, labels, hessian = with_hessian(perceptron)
    surface, rho = LossSurface(model, images, labels), 1e-4  # so small that no rectifier switches
    both = [noise_rises(surface, rho=sign * rho, draws=400, seed=0, adaptive=adaptive) for sign in (1, -1)]
    rises = np.mean(both, axis=0)  # of δ and -δ: the gradient's part, a thousand times as large, is gone
    error = rises.std() / np.sqrt(len(rises))
    scale = np.abs(surface.weights) if adaptive else 1.0
    truth = rho**2 / 2 * np.sum(np.diag(hessian) * scale**2)
    assert error < 0.1 * truth
    assert rises.mean() == pytest.approx(truth, abs=4 * error)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_worst_case_is_invariant_to_rescaling_rectified_layers(norm):
    model, (images, labels) = perceptron(bias=False), samples((4,))

    def worst():
        surface = LossSurface(model, images, labels, readout=normalised)
        return highest_rise(surface.loss_and_gradient, surface.weights, rho=0.1, norm=norm, steps=8)

    before = worst()
    first, second = model.trainable_variables
    first.assign(3.0 * first), second.assign(second / 3.0)
    assert worst() == pytest.approx(before, rel=ITERATED)


def test_worst_case_of_a_convex_loss_is_the_highest_corner_of_the_box():
    rng = np.random.default_rng(3)
    root = rng.standard_normal((6, 6))
    h, w = root @ root.T, rng.standard_normal(6)
    loss = quadratic(h)
    corners = [loss(w + 0.05 * np.abs(w) * corner)[0] for corner in itertools.product([-1, 1], repeat=6)]
    found = highest_rise(loss, w, rho=0.05, norm="linf", steps=20)
    assert found == pytest.approx(max(corners) - loss(w)[0], rel=CLOSED_FORM)


def test_worst_case_in_the_ball_agrees_with_a_constrained_optimizer():
    rng = np.random.default_rng(4)
    root = rng.standard_normal((5, 5))
    h, w = root @ root.T, rng.standard_normal(5)
    loss, scale, rho = quadratic(h), np.abs(w), 0.5
    ball = {"type": "ineq", "fun": lambda u: rho**2 - u @ u}
    best = max(
        -minimize(lambda u: -loss(w + scale * u)[0], start, constraints=[ball], method="SLSQP").fun
        for start in rng.standard_normal((12, 5)) * 0.2
    )
    found = highest_rise(loss, w, rho=rho, norm="l2", steps=100)
    assert found == pytest.approx(best - loss(w)[0], rel=FLOAT32)


def test_more_steps_never_lower_the_worst_case_and_none_is_negative():
    surface = LossSurface(convolutional(), *samples((6, 6, 2)), readout=normalised)
    found = [
        highest_rise(surface.loss_and_gradient, surface.weights, rho=0.3, norm="linf", steps=n) for n in (1, 4, 12)
    ]
    assert 0 <= found[0] <= found[1] <= found[2]


def test_no_gradient_is_no_rise():
    assert highest_rise(lambda w: (1.0, np.zeros_like(w)), np.ones(3), rho=0.1, norm="l2", steps=5) == 0.0


def test_an_infinite_loss_is_no_maximum():
    def loss(w):
        return (np.inf, np.full_like(w, np.nan)) if np.abs(w - 1).max() > 0.06 else (float(w.sum()), np.ones_like(w))

    assert 0 < highest_rise(loss, np.ones(2), rho=0.1, norm="linf", steps=10) <= 0.12 + 1e-12


def test_noise_is_the_same_for_all_checkpoints_and_weights_stay():
    model, (images, labels) = perceptron(), samples((4,))
    before = [np.array(v) for v in model.variables]
    surface = LossSurface(model, images, labels, readout=normalised)
    first, second = (noise_rises(surface, rho=0.1, draws=2, seed=5, adaptive=False) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    assert keras.ops.shape(model(images))[1] == CLASSES


def test_normalised_logits_of_two_classes_say_nothing_of_sharpness():
    from infomcr_cli import measure

    images, labels = samples((4,), count=12)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    names = ("average_sharpness", "average_adaptive_sharpness", "worst_case_adaptive_sharpness_l2")
    for found in measure(model, (images, labels % 2), names=names).values():
        assert found["value"] is None
        assert "three classes" in found["reason"]
