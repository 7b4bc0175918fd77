"""The derivative of cross-entropy against extended precision."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import tensorflow as tf
from tolerances import CLOSED_FORM, ITERATED, ROUNDING

from infomcr_cli.measures.cross_entropy import loss_derivative


def exact(logits: np.ndarray, label: int) -> tuple[float, np.ndarray]:
    with mpmath.workdps(400):
        z = [mpmath.mpf(float(v)) for v in logits]
        total = sum(mpmath.exp(v) for v in z)
        p = [mpmath.exp(v) / total for v in z]
        loss = -mpmath.log(p[label])
        p[label] = -sum(v for k, v in enumerate(p) if k != label)
        return float(loss), np.array([float(v) for v in p])


@pytest.mark.parametrize("gap", [0.0, 3.0, 27.6, 100.0, 600.0, -50.0])
def test_loss_derivative_at_any_confidence(gap: float) -> None:
    logits = np.array([0.3, gap + 0.3, -1.0, 0.1])
    loss, gradient = exact(logits, 1)
    found = loss_derivative(tf.constant(logits[None]), tf.constant([1]))
    assert found.loss[0].numpy() == pytest.approx(loss, rel=CLOSED_FORM)
    row = found.direction[0].numpy() * np.exp(found.log_length[0].numpy())
    np.testing.assert_allclose(row, gradient, rtol=CLOSED_FORM)


def test_direction_survives_a_loss_below_float64() -> None:
    found = loss_derivative(tf.constant([[0.0, 5000.0, 0.0]], tf.float64), tf.constant([1]))
    np.testing.assert_allclose(found.direction[0], np.array([1, -2, 1]) / np.sqrt(6), rtol=ROUNDING)
    assert found.log_length[0].numpy() == pytest.approx(-5000 + np.log(np.sqrt(6)), rel=ROUNDING)


def test_normalised_logits_against_the_tape() -> None:
    logits = tf.Variable(np.random.default_rng(0).normal(size=(5, 10)))
    labels = tf.constant([0, 3, 9, 1, 1])
    with tf.GradientTape() as tape:
        scaled = logits / (tf.norm(logits, axis=1, keepdims=True) * 0.04)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, scaled)
    truth = tape.gradient(losses, logits)
    found = loss_derivative(logits, labels, 0.04)
    np.testing.assert_allclose(found.direction * tf.exp(found.log_length)[:, None], truth, rtol=ITERATED, atol=ROUNDING)
    np.testing.assert_allclose(found.loss, losses, rtol=CLOSED_FORM)


def test_normalised_logits_without_a_derivative_have_a_zero_row_and_no_infinity() -> None:
    logits = tf.constant([[2.0, -2.0], [0.0, 0.0], [1.7, 0.4]], tf.float64)  # along z; z = 0; an ordinary one
    found = loss_derivative(logits, tf.constant([0, 1, 0]), 0.04)
    np.testing.assert_array_equal(found.direction[:2], np.zeros((2, 2)))
    np.testing.assert_array_equal(found.log_length[:2], [-np.inf, -np.inf])
    assert np.isfinite(found.log_length[2].numpy())
    assert np.linalg.norm(found.direction[2]) == pytest.approx(1.0, rel=CLOSED_FORM)
