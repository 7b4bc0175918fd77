"""Confidence, entropy and calibration error against loops, also under noise on the inputs."""

from __future__ import annotations

import numpy as np
import pytest
from tolerances import CLOSED_FORM, ROUNDING

from infomcr_cli.errors import InputError
from infomcr_cli.measures.library.confidence import (
    calibration_error,
    mean_confidence,
    mean_entropy,
    noisy_images,
)


def random_scores(count=500, classes=4, size=2.0):
    rng = np.random.default_rng(0)
    return size * rng.standard_normal((count, classes)), rng.integers(0, classes, count).astype(np.int32)


def probabilities(logits):
    return [[np.exp(z) / sum(np.exp(row)) for z in row] for row in logits]


def test_confidence_and_entropy_agree_with_a_loop():
    logits, labels = random_scores()
    p = probabilities(logits)
    assert mean_confidence(logits, labels) == pytest.approx(np.mean([max(row) for row in p]), rel=ROUNDING)
    truth = np.mean([-sum(x * np.log(x) for x in row) for row in p])
    assert mean_entropy(logits, labels) == pytest.approx(truth, rel=ROUNDING)


def test_calibration_error_agrees_with_a_loop_over_bins():
    logits, labels = random_scores()
    p = np.array(probabilities(logits))
    confidence, hit = p.max(axis=1), p.argmax(axis=1) == labels
    truth = 0.0
    for b in range(15):
        inside = (confidence > b / 15) & (confidence <= (b + 1) / 15)
        if inside.any():
            truth += inside.mean() * abs(hit[inside].mean() - confidence[inside].mean())
    assert calibration_error(logits, labels) == pytest.approx(truth, rel=CLOSED_FORM)


def test_calibrated_scores_have_a_small_calibration_error():
    rng = np.random.default_rng(1)
    logits = 2 * rng.standard_normal((20_000, 5))
    p = np.array(probabilities(logits))
    labels = np.array([rng.choice(5, p=row / row.sum()) for row in p])
    assert calibration_error(logits, labels) < 0.015
    assert calibration_error(3 * logits, labels) > 0.1


@pytest.mark.parametrize("size", [1e3, 1e6])
def test_perfect_scores_of_any_size_have_no_error_and_no_entropy(size):
    labels = np.arange(6) % 3
    logits = size * np.eye(3)[labels]
    assert mean_confidence(logits, labels) == 1.0
    assert mean_entropy(logits, labels) == calibration_error(logits, labels) == 0.0


def test_equal_logits_are_a_uniform_guess():
    logits, labels = np.zeros((10, 4)), np.arange(10) % 4
    assert mean_confidence(logits, labels) == pytest.approx(0.25)
    assert mean_entropy(logits, labels) == pytest.approx(np.log(4))


@pytest.mark.parametrize("scale", [1.0, 255.0])
def test_noise_is_relative_to_each_channel_and_seeded(scale):
    images = np.random.default_rng(0).standard_normal((200, 6, 6, 2)) * [scale, 3 * scale]
    moved = noisy_images(images, 0.1, 0) - images
    np.testing.assert_allclose(moved.std(axis=(0, 1, 2)), 0.1 * images.std(axis=(0, 1, 2)), rtol=0.02)
    np.testing.assert_array_equal(noisy_images(images, 0.1, 0), noisy_images(images, 0.1, 0))
    assert np.abs(noisy_images(images, 0.1, 1) - images - moved).max() > 0


def test_noise_keeps_the_structure_and_type_of_inputs():
    images = {"a": np.ones((3, 2), np.float32), "b": np.arange(6, dtype=np.float32).reshape(3, 2)}
    found = noisy_images(images, 0.1, 0)
    assert found.keys() == images.keys()
    assert found["b"].dtype == np.float32
    np.testing.assert_array_equal(found["a"], images["a"])  # a channel that is constant stays


def test_noise_reaches_inputs_of_one_number_a_sample():
    ages = np.random.default_rng(0).normal(40, 20, 5000)
    assert (noisy_images({"age": ages}, 0.1, 0)["age"] - ages).std() == pytest.approx(2.0, rel=0.05)


def test_noise_is_refused_on_tokens():
    with pytest.raises(InputError, match="real-valued"):
        noisy_images(np.arange(4), 0.1, 0)
