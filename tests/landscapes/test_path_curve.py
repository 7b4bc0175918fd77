"""The Bézier curve and its gradient against Keras itself and finite differences; barriers against a loop."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tolerances import AUTODIFF, CLOSED_FORM, SINGLE

from infomcr_cli.landscapes.path_curve import curve_gradient, curve_point, on_curve, on_line
from infomcr_cli.landscapes.path_settings import curve_rate
from infomcr_cli.report.path_document import barrier

A, THETA, B = np.random.default_rng(0).normal(size=(3, 3, 2))


def test_the_curve_is_the_de_casteljau_construction() -> None:
    for t in np.linspace(0, 1, 7):
        left, right = (1 - t) * A + t * THETA, (1 - t) * THETA + t * B
        np.testing.assert_allclose(curve_point(A, THETA, B, t), (1 - t) * left + t * right, rtol=CLOSED_FORM)
    np.testing.assert_array_equal(curve_point(A, THETA, B, 0.0), A)
    np.testing.assert_array_equal(curve_point(A, THETA, B, 1.0), B)


def test_a_control_point_in_the_middle_gives_the_straight_line_and_its_ends_exactly() -> None:
    first, last = {"w": A.astype(np.float32), "count": np.array(3)}, {"w": B.astype(np.float32), "count": np.array(9)}
    middle = {"w": (first["w"] + last["w"]) / 2}
    for t in (0.25, 0.6):
        np.testing.assert_allclose(on_curve(first, middle, last, t)["w"], on_line(first, last, t)["w"], rtol=SINGLE)
    for t, end in ((0.0, first), (1.0, last)):
        np.testing.assert_array_equal(on_line(first, last, t)["w"], end["w"])
        np.testing.assert_array_equal(on_curve(first, middle, last, t)["w"], end["w"])
    assert on_line(first, last, 0.9)["count"] == 3, "a counter cannot be between two numbers"


@pytest.fixture(scope="module")
def network() -> Any:
    """A network in float64 with batch norm, an activation without kinks and a penalty."""
    keras.utils.set_random_seed(0)
    options = {"dtype": "float64"}
    inputs = keras.Input((4,), dtype="float64")
    x = keras.layers.Dense(5, kernel_regularizer=keras.regularizers.L2(0.1), **options)(inputs)
    x = keras.layers.Activation("tanh", **options)(keras.layers.BatchNormalization(**options)(x))
    return keras.Model(inputs, keras.layers.Dense(3, **options)(x))


def objective(model: Any, weights: list[np.ndarray], x: np.ndarray, y: np.ndarray) -> float:
    """Cross-entropy and penalty of Keras's own call in training mode."""
    for variable, value in zip(model.trainable_variables, weights, strict=True):
        variable.assign(value)
    loss = keras.losses.sparse_categorical_crossentropy(y, model(x, training=True), from_logits=True)
    return float(tf.reduce_mean(loss) + sum(model.losses))


def test_the_gradient_by_the_control_point_is_that_of_finite_differences(network: Any) -> None:
    rng, t = np.random.default_rng(1), 0.3
    x, y = rng.normal(size=(12, 4)), rng.integers(0, 3, 12)
    shapes = [tuple(v.shape) for v in network.trainable_variables]
    first, control, last, direction = ([rng.normal(size=shape) for shape in shapes] for _ in range(4))
    before = [np.array(v) for v in network.variables]
    state = [tf.convert_to_tensor(v.value) for v in network.non_trainable_variables]
    tensors = [[tf.constant(w) for w in ws] for ws in (first, control, last)]
    loss, gradient, _ = curve_gradient(network, t, (tensors[0], tensors[2]), tensors[1], state, x, y)
    assert all(np.array_equal(v, w) for v, w in zip(network.variables, before, strict=True))

    def at(step: float) -> float:
        moved = [c + step * d for c, d in zip(control, direction, strict=True)]
        points = [curve_point(a, c, b, t) for a, c, b in zip(first, moved, last, strict=True)]
        return objective(network, points, x, y)

    assert float(loss) == pytest.approx(at(0.0), rel=CLOSED_FORM)
    slope = sum(float(np.sum(g * d)) for g, d in zip(gradient, direction, strict=True))
    assert slope == pytest.approx((at(1e-5) - at(-1e-5)) / 2e-5, rel=AUTODIFF)


def test_the_barrier_is_the_height_above_the_line_between_the_ends() -> None:
    t, values = np.linspace(0, 1, 11), np.random.default_rng(0).normal(size=11)
    found = barrier(t.tolist(), values.tolist())
    heights = [values[i] - ((1 - t[i]) * values[0] + t[i] * values[-1]) for i in range(11)]
    assert found.value == pytest.approx(max(heights), rel=CLOSED_FORM)
    assert found.t == t[int(np.argmax(heights))]


def test_a_convex_loss_has_no_barrier_and_a_loss_that_is_not_finite_none_that_is_known() -> None:
    t = np.linspace(0, 1, 21)
    hessian = np.diag([1.0, 30.0])
    points = [(1 - s) * np.array([1.0, -2.0]) + s * np.array([-3.0, 0.5]) for s in t]
    assert barrier(t.tolist(), [float(w @ hessian @ w) / 2 for w in points]).value == 0
    values = [0.025 + 0.1 * s for s in t]
    assert barrier(t.tolist(), values).value == 0, "rounding is no barrier"
    assert barrier([0.0, 0.5, 1.0], [1.0, None, 1.0]).value is None
    assert barrier([0.0, 0.5, 1.0], [1.0, float("inf"), 1.0]).value is None


def test_the_rate_falls_in_the_second_half() -> None:
    rates = [curve_rate(step / 1000) for step in range(1000)]
    assert rates[:501] == [1.0] * 501
    assert rates == sorted(rates, reverse=True)
    assert rates[900:] == pytest.approx([0.01] * 100)
