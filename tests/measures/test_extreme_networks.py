"""Networks at the ends of what there is: computing in float64, fitted beyond float32, diverged, with few images."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from infomcr_cli.measures.draw_measures import Draw
from tolerances import CLOSED_FORM, FLOAT32

from infomcr_cli.config.compose import compose_run
from infomcr_cli.measures import gamma as formulas
from infomcr_cli.measures.base import chosen_measures
from infomcr_cli.measures.cross_entropy import sample_losses, tensor_losses
from infomcr_cli.measures.gram.engine import GramEngine
from infomcr_cli.measures.gram.record import GramRecord
from infomcr_cli.measures.library.confidence import calibration_error, mean_confidence, mean_entropy
from infomcr_cli.measures.library.gradient_agreement import gradient_disparity
from infomcr_cli.measures.library.gram import effective_rank
from infomcr_cli.measures.loss_surface import LossSurface, _factor
from infomcr_cli.measures.value import MeasureValue, mean_over_draws
from infomcr_cli.measures.work import within_images, work_of, work_shares

L = keras.layers
MARGIN = 120.0  # nats: a loss of e⁻¹²⁰ is 8e-53, below the smallest number of float32


def linear_network(dtype: str = "float32") -> keras.Model:
    """z = x W + b, [4] -> [3]."""
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((4,), dtype=dtype), L.Dense(3, dtype=dtype)])


def fitted() -> tuple[keras.Model, np.ndarray, np.ndarray]:
    """A network in float32 that is right on all six samples by margins of 120 nats and more."""
    model, labels = linear_network(), np.arange(6) % 3
    images = np.eye(4, dtype=np.float32)[labels] * np.linspace(1.0, 1.2, 6, dtype=np.float32)[:, None]
    model.set_weights([MARGIN * np.eye(4, 3, dtype=np.float32), np.zeros(3, np.float32)])
    return model, images, labels.astype(np.int32)


def true_rows(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Derivatives of the losses of `fitted` by its logits, [N, C]: p at the two wrong classes, −2p at the true one."""
    odds = np.exp(-MARGIN * images.max(axis=1).astype(np.float64))
    p = odds / (1 + 2 * odds)
    return p[:, None] * (1.0 - 3.0 * np.eye(3)[labels])


def test_gradient_of_losses_below_float32_is_that_of_the_closed_form() -> None:
    model, images, labels = fitted()
    rows = true_rows(images, labels)
    truth = np.concatenate([(images.astype(np.float64).T @ rows).ravel(), rows.sum(axis=0)]) / len(labels)
    surface = LossSurface(model, images, labels)
    _, gradient = surface.clean_gradient
    assert 0 < np.linalg.norm(gradient) < 1e-50
    np.testing.assert_allclose(gradient, truth, rtol=0, atol=FLOAT32 * np.abs(truth).max())


def test_hessian_of_losses_below_float32_is_the_difference_of_gradients() -> None:
    model, images, labels = fitted()
    surface, truth = (LossSurface(model, images, labels, precision=p) for p in ("float32", "float64"))
    vector = np.random.default_rng(1).standard_normal(surface.size)
    product, step = surface.hessian_product(vector), 1e-4
    up, down = (truth.loss_and_gradient(truth.weights + s * vector)[1] for s in (step, -step))
    assert 0 < np.linalg.norm(product) < 1e-48
    np.testing.assert_allclose(product, (up - down) / (2 * step), rtol=0, atol=1e-3 * np.abs(product).max())


@pytest.mark.parametrize("margin", [1e-3, 1.0, 30.0, 200.0, 700.0])
def test_small_losses_keep_their_digits(margin: float) -> None:
    logits, labels = margin * np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]), np.array([0, 1, 0])
    truth = np.log1p(np.exp([-margin, -margin, margin]))
    np.testing.assert_allclose(sample_losses(logits, labels), truth, rtol=CLOSED_FORM)
    z = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(z)
        losses = tensor_losses(z, labels)
    np.testing.assert_allclose(losses, truth, rtol=CLOSED_FORM)
    slope = 1 / (1 + np.exp([margin, margin, -margin]))  # probability of the wrong class
    signs = np.array([[-1, 1], [1, -1], [-1, 1]])
    np.testing.assert_allclose(tape.gradient(losses, z), slope[:, None] * signs, rtol=CLOSED_FORM)


def test_infinite_logits_have_no_loss() -> None:
    assert np.isnan(sample_losses(np.array([[np.inf, 0.0]]), np.array([0]))).all()


@pytest.mark.parametrize(("loss", "power"), [(3.0, 0), (1.0, 0), (0.4, 2), (1e-60, 200), (0.0, 0), (np.nan, 0)])
def test_factor_is_a_power_of_two_that_changes_no_digit(loss: float, power: int) -> None:
    assert float(_factor(tf.constant([loss / 2, loss], tf.float64))) == 2.0**power


def test_entropy_of_a_nearly_certain_network_is_that_of_its_closed_form() -> None:
    logits = np.array([[50.0, 0.0, 0.0]])
    wrong = np.exp(-50.0)
    assert mean_entropy(logits, np.zeros(1, np.int32)) == pytest.approx(2 * wrong * 50 + 2 * wrong, rel=1e-9)


@pytest.mark.parametrize("classes", [2, 3, 5, 7, 15])
def test_equal_logits_have_a_confidence_of_one_over_the_classes(classes: int) -> None:
    logits, labels = np.full((2 * classes, classes), 3.7), np.arange(2 * classes) % classes
    assert mean_confidence(logits[:1], labels[:1]) == 1 / classes
    assert calibration_error(logits, labels) == pytest.approx(0.0, abs=1e-15)


def test_confidence_at_the_upper_edge_of_a_bin_lies_in_it() -> None:
    """1/3 = 5/15 is in the bin below 5/15, and 0.34 in the one above it."""
    logits = np.array([[0.0, 0.0, 0.0], [np.log(0.34), np.log(0.33), np.log(0.33)]])
    assert calibration_error(logits, np.array([1, 0])) == pytest.approx((1 / 3 + 0.66) / 2, rel=CLOSED_FORM)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_float64_network_is_measured_in_float32(batch_norm: bool) -> None:
    keras.utils.set_random_seed(0)
    norm = [L.BatchNormalization(dtype="float64")] if batch_norm else []
    hidden = [L.Dense(5, dtype="float64"), *norm, L.ReLU(dtype="float64")]
    model = keras.Sequential([keras.Input((4,), dtype="float64"), *hidden, L.Dense(3, dtype="float64")])
    rng = np.random.default_rng(0)
    images, labels = rng.standard_normal((6, 4)), rng.integers(0, 3, 6)
    single, double = (GramEngine(model, precision=p)(images, labels).gram for p in ("float32", "float64"))
    np.testing.assert_allclose(single, double, rtol=0, atol=FLOAT32 * np.abs(double).max())
    assert {v.dtype for v in model.variables} == {"float64"}


def draw_of_tiny_gradients(scale: float) -> Draw:
    rows = np.random.default_rng(0).standard_normal((5, 9))
    unit, lengths = formulas.unit_diagonal(rows @ rows.T)
    record = GramRecord(unit, lengths + np.log(scale), np.zeros(5), np.zeros(5), {}, {})
    return Draw(record, np.arange(5), 1.0, 1.0)


def test_effective_rank_and_disparity_of_tiny_gradients_are_those_of_larger_ones() -> None:
    plain, tiny = draw_of_tiny_gradients(1.0), draw_of_tiny_gradients(1e-170)
    assert effective_rank(tiny) == pytest.approx(effective_rank(plain), rel=1e-9)
    assert gradient_disparity(tiny) == pytest.approx(1e-170 * gradient_disparity(plain), rel=1e-9)


def test_a_value_that_is_not_finite_leaves_no_such_number_in_the_document() -> None:
    extras = {"layers": [{"quartiles": [1.0, np.float64(np.nan)]}], "rhat": float("inf"), "draws": (2, None)}
    found = MeasureValue(1.0, extras=extras).finite().to_dict()
    assert found["layers"] == [{"quartiles": [1.0, None]}]
    assert (found["rhat"], found["draws"]) == (None, [2, None])
    averaged = mean_over_draws([1.0, float("nan")]).finite()
    assert averaged.extras["interval"] is None
    json.dumps(averaged.to_dict(), allow_nan=False)


def test_forecast_counts_no_more_samples_and_draws_than_there_are_images() -> None:
    config = compose_run(["measure=all", "measure.samples=5000"]).measure
    whole, few = within_images(config, 50_000), within_images(config, 1000)
    assert (whole.samples, whole.gamma.draws) == (5000, 100)
    assert (few.samples, few.gamma.draws) == (1000, 10)
    gamma = chosen_measures("gamma")
    assert work_of(gamma, few).rows == 1000
    assert work_of(gamma, few).forward == 1000
    assert sum(work_shares(chosen_measures("fast"), few)) == pytest.approx(1.0)
