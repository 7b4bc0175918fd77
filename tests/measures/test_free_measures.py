"""Free measures as an evaluation reports them: against the network's own outputs, and formulas of other values."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from tolerances import AUTODIFF, FLOAT32, SINGLE

from infomcr_cli.config.compose import compose_run
from infomcr_cli.data import Dataset, Split
from infomcr_cli.measures.context import MeasureContext
from infomcr_cli.measures.evaluate import evaluate_measures
from infomcr_cli.measures.library.confidence import noisy_images
from infomcr_cli.models import named_weights
from tests.measures.reference import jacobian, perceptron, weights

COUNT, SAMPLES, PRIOR = 60, 40, 0.5
NAMES = (
    *("train_confidence", "train_entropy", "train_calibration_error"),
    *("noisy_train_confidence", "noisy_train_entropy", "noisy_train_calibration_error"),
    *("noise_scale", "magnitude_noise_scale", "pac_bayes_origin", "pac_bayes_init"),
    *("pac_bayes_magnitude_origin", "pac_bayes_magnitude_init", "laplace_log_det", "effective_dimension"),
)


def separable() -> Dataset:
    """Three classes around their own centres, in inputs that are not standardised."""
    rng, labels = np.random.default_rng(0), (np.arange(COUNT) % 3).astype(np.int32)
    images = 20.0 + 10 * rng.standard_normal((COUNT, 4)) + 40.0 * np.eye(3, 4)[labels]
    split = Split(images.astype(np.float32), labels)
    return Dataset("separable", split, split, ("a", "b", "c"), (30.0,), (20.0,), True, "separable")


def config_of(*names: str) -> Any:
    settings = (f"samples={SAMPLES}", f"gamma.samples={SAMPLES}", "gamma.draw_size=20", "gamma.precision=float64")
    changed = ("noise.draws=3", f"laplace.prior_precision={PRIOR}", "confidence.input_noise=0.3")
    return compose_run(
        [f"measure.names=[{','.join(names)}]", *(f"measure.{one}" for one in (*settings, *changed))]
    ).measure


@pytest.fixture(scope="module")
def found() -> tuple[keras.Model, Dataset, Any, Any]:
    """A trained network, its data, the change of its weights, and the values."""
    model, dataset = perceptron(), separable()
    initial = {name: np.array(np.asarray(v)) for name, v in named_weights(model).items()}
    start = weights(model)
    model.compile(keras.optimizers.Adam(0.03), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    images = dataset.standardise(dataset.train.images)
    model.fit(images, dataset.train.labels, batch_size=20, epochs=30, verbose=0)
    values = evaluate_measures(
        MeasureContext(model, dataset, config_of(*NAMES), seed=3, initial_weights=lambda: initial)
    )
    return model, dataset, weights(model) - start, values


def scores(logits: Any, labels: Any) -> tuple[float, float, float]:
    """Mean confidence, mean entropy and calibration error, written out."""
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    sure, hit, error = p.max(axis=1), p.argmax(axis=1) == labels, 0.0
    for b in range(15):
        inside = (sure > b / 15) & (sure <= (b + 1) / 15)
        error += abs(hit[inside].sum() - sure[inside].sum()) / len(labels)
    return sure.mean(), -(p * np.log(p)).sum(axis=1).mean(), error


@pytest.mark.parametrize("noisy", [False, True])
def test_confidence_is_that_of_the_networks_outputs_on_the_samples(found, noisy):
    model, dataset, _, values = found
    images = dataset.standardise(dataset.train.images)[:SAMPLES]
    given = noisy_images(images, 0.3, 3) if noisy else images
    truth = scores(np.asarray(model(given, training=False)), dataset.train.labels[:SAMPLES])
    prefix = "noisy_train" if noisy else "train"
    names = (f"{prefix}_confidence", f"{prefix}_entropy", f"{prefix}_calibration_error")
    np.testing.assert_allclose([values[name].value for name in names], truth, rtol=SINGLE)


def test_noise_on_inputs_changes_the_confidence(found):
    *_, values = found
    assert values["noisy_train_confidence"].value != pytest.approx(values["train_confidence"].value, rel=FLOAT32)


def test_pac_bayes_bounds_follow_from_the_noise_scales_and_all_training_images(found):
    model, _, moved, values = found
    sigma, at_origin = values["noise_scale"].value, np.sum(weights(model) ** 2)
    other, from_start = values["magnitude_noise_scale"].value, np.sum(moved**2)

    def plain(length: float) -> float:
        return np.sqrt((length / 4 / sigma**2 + np.log(COUNT / sigma) + 10) / COUNT)

    def magnitude(length: float) -> float:
        terms = [
            np.log((1e-6 + (other**2 + 1) * length / len(moved)) / (1e-6 + other**2 * change**2)) for change in moved
        ]
        return np.sqrt((sum(terms) / 4 + np.log(COUNT / other) + 10) / COUNT)

    truth = {
        "pac_bayes_origin": plain(at_origin),
        "pac_bayes_init": plain(from_start),
        "pac_bayes_magnitude_origin": magnitude(at_origin),
        "pac_bayes_magnitude_init": magnitude(from_start),
    }
    assert {name: values[name].value for name in truth} == pytest.approx(truth, rel=1e-9)
    for name in truth:
        low, high = values[name].extras["interval"]
        assert low < values[name].value < high


def test_laplace_and_effective_dimension_are_means_over_draws_with_their_prior(found):
    model, dataset, _, values = found
    images, labels = dataset.standardise(dataset.train.images).astype(np.float64), dataset.train.labels
    log_dets, dimensions = [], []
    for start in (0, 20):
        rows = jacobian(model, images[start : start + 20], labels[start : start + 20])
        fisher = rows.T @ rows / 20  # [W, W]
        log_dets.append(0.5 * np.linalg.slogdet(np.eye(len(fisher)) + fisher / PRIOR)[1])
        dimensions.append(np.trace(fisher @ np.linalg.inv(fisher + PRIOR * np.eye(len(fisher)))))
    assert values["laplace_log_det"].value == pytest.approx(np.mean(log_dets), rel=AUTODIFF)
    assert values["effective_dimension"].value == pytest.approx(np.mean(dimensions), rel=AUTODIFF)
    convention = values["laplace_log_det"].extras["convention"]
    assert (convention["laplace.prior_precision"], convention["samples"], convention["draws"]) == (PRIOR, SAMPLES, 2)


def test_network_without_trainable_weights_has_its_outputs_and_no_gradients():
    model, dataset = perceptron(), separable()
    model.trainable = False
    values = evaluate_measures(
        MeasureContext(model, dataset, config_of("train_confidence", "final_gradient_norm", "stable_rank"))
    )
    assert values["train_confidence"].value > 1 / 3
    for name in ("final_gradient_norm", "stable_rank"):
        assert "trainable weights" in values[name].extras["reason"]
        assert "error" not in values[name].extras
