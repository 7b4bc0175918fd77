"""All measures through the registry: each has a value and its convention."""

from __future__ import annotations

import subprocess
import sys

import keras
import numpy as np
import pytest
from tolerances import CLOSED_FORM, FLOAT32

from infomcr_cli.config.compose import compose_run
from infomcr_cli.data import load_dataset
from infomcr_cli.experiment.network import build_network, initial_weights
from infomcr_cli.measures.base import chosen_measures
from infomcr_cli.measures.context import MeasureContext
from infomcr_cli.measures.evaluate import evaluate_measures
from infomcr_cli.measures.gamma import gradient_noise_variance
from infomcr_cli.measures.gram.engine import gram_matrix
from infomcr_cli.measures.value import MeasureValue
from tests.measures.recorded import recorded_history

SMALL = (
    "model.depth=10",
    "model.width=0.25",
    "data.train_size=80",
    "measure.samples=60",
    "measure.names=all",
    "measure.gamma.draw_size=20",
    "measure.gamma.draws=3",
    "measure.sharpness.sub_batch=20",
    "measure.sharpness.iterations=2",
    "measure.curvature.probes=2",
    "measure.curvature.eigenvalues=1",
    "measure.curvature.products=16",
    "measure.noise.draws=2",
    "measure.sharpness.noise_draws=2",
    "measure.sharpness.ascent_steps=2",
    "measure.learning_coefficient.radius=0.05",
    "measure.learning_coefficient.batch=30",
    "measure.basin_volume.rays=2",
)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    config = compose_run(SMALL)
    keras.utils.set_random_seed(0)
    dataset = load_dataset(config.data, seed=0)
    model = build_network(config, dataset)
    images, labels = dataset.standardise(dataset.train.images), dataset.train.labels
    model.compile(keras.optimizers.SGD(0.05, 0.9), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(images, labels, batch_size=20, epochs=12, verbose=0)
    values = evaluate_measures(
        MeasureContext(
            model,
            dataset,
            config.measure,
            seed=0,
            initial_weights=lambda: initial_weights(config, dataset),
            train_loss=0.5,
            history=recorded_history(tmp_path_factory.mktemp("library") / "run", initial_weights(config, dataset)),
        )
    )
    return config, dataset, model, values


def test_every_measure_has_a_finite_value_on_a_trained_network(measured):
    *_, values = measured
    assert values.keys() == {measure.name for measure in chosen_measures()}
    without = {name: value.extras.get("reason") for name, value in values.items() if value.value is None}
    assert without == {}
    assert all(np.isfinite(value.value) for value in values.values())


def test_every_value_has_its_convention_and_batch_norm_mode(measured):
    *_, values = measured
    assert all(value.extras["convention"]["batch_norm"] == "inference" for value in values.values())
    assert values["sharpness"].extras["convention"]["sharpness.rho"] == 0.05
    assert values["margin"].extras["convention"]["samples"] == 60
    taken = values["gamma"].extras["convention"]
    assert (taken["samples"], taken["draws"], taken["draw_size"], taken["target_se"]) == (80, 3, 20, None)


def test_estimated_values_have_a_standard_error(measured):
    *_, values = measured
    for name in (
        "gamma",
        "hessian_trace",
        "sharpness",
        "adaptive_sharpness",
        "noise_scale",
        "magnitude_noise_scale",
        "average_sharpness",
        "worst_case_adaptive_sharpness",
        "learning_coefficient",
        "basin_volume",
    ):
        assert values[name].std_error > 0


def test_distance_from_initialization_is_that_from_the_untrained_network(measured):
    config, dataset, model, values = measured
    keras.utils.set_random_seed(config.seed)
    untrained = build_network(config, dataset)
    parts = zip(model.trainable_variables, untrained.trainable_variables, strict=True)
    truth = np.sqrt(sum(np.sum((np.asarray(a, np.float64) - np.asarray(b, np.float64)) ** 2) for a, b in parts))
    assert values["distance_from_initialization"].value == pytest.approx(truth, rel=CLOSED_FORM)


def test_gradient_noise_is_the_mean_over_the_draws_of_gamma(measured):
    _, dataset, model, values = measured
    images, labels = dataset.standardise(dataset.train.images), dataset.train.labels
    draws = [gradient_noise_variance(gram_matrix(model, images[s : s + 20], labels[s : s + 20])) for s in (0, 20, 40)]
    assert values["gradient_noise"].value == pytest.approx(np.mean(draws), rel=FLOAT32)


def test_hessian_eigenvalue_is_positive_with_a_small_residual(measured):
    *_, values = measured
    eigenvalue, error = values["hessian_eigenvalue"].value, values["hessian_eigenvalue"].extras["residuals"][0]
    assert eigenvalue > 0
    assert error < 0.1 * eigenvalue


def test_unsupported_network_gives_a_reason_and_leaves_other_measures(measured):
    config, dataset, *_ = measured
    config = compose_run([*SMALL, "model.norm=group", "measure.names=[spectral_product,path_norm,margin]"])
    values = evaluate_measures(MeasureContext(build_network(config, dataset), dataset, config.measure))
    assert values["spectral_product"].value is None
    assert "batch norm" in values["spectral_product"].extras["reason"]
    assert values["margin"].value is not None


def test_listing_the_measures_imports_no_tensorflow():
    script = (
        "import sys; from infomcr_cli.measures.base import chosen_measures; print(len(chosen_measures()));"
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'keras', 'mlflow', 'pandas')))"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_value_that_is_not_finite_becomes_none():
    assert MeasureValue(float("inf")).finite() == MeasureValue(None, extras={"reason": "the value is inf"})
    assert MeasureValue(1.0, float("inf")).finite() == MeasureValue(1.0, None)
    assert MeasureValue(1.0, float("inf"), {"interval": [float("-inf"), 2.0]}).finite().extras["interval"] is None
    assert MeasureValue(1.0, 0.5, {"a": 1}).finite() == MeasureValue(1.0, 0.5, {"a": 1})
