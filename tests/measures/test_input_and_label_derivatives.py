"""The Fisher trace at labels that the network draws, and the geometric complexity, against dense Jacobians."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tolerances import AUTODIFF, CLOSED_FORM

from infomcr_cli.config.compose import compose_run
from infomcr_cli.data import Dataset, Split
from infomcr_cli.measures.context import MeasureContext
from infomcr_cli.measures.evaluate import evaluate_measures
from tests.measures.reference import convolutional, jacobian, perceptron, samples

COUNT = 12


def dataset_of(model: keras.Model, classes: int = 3) -> Dataset:
    images, labels = samples(model.input_shape[1:], count=COUNT)
    split, channels = Split(images.astype(np.float32), labels), model.input_shape[-1]
    names = tuple(str(k) for k in range(classes))
    return Dataset("random", split, split, names, (0.0,) * channels, (1.0,) * channels, True, "random")


def measured(model: keras.Model, dataset: Dataset, *overrides: str) -> Any:
    names = "measure.names=[true_fisher_trace,geometric_complexity]"
    settings = (f"measure.samples={COUNT}", "measure.gamma.draw_size=5", "measure.gamma.precision=float64")
    return evaluate_measures(MeasureContext(model, dataset, compose_run([names, *settings, *overrides]).measure))


def many_classes(classes: int = 14) -> keras.Model:
    keras.utils.set_random_seed(1)
    image = keras.Input((4,), dtype="float64")
    hidden = keras.layers.Dense(6, "tanh", dtype="float64")(image)
    return keras.Model(image, keras.layers.Dense(classes, dtype="float64")(hidden))


def fisher_by_loop(model: keras.Model, dataset: Dataset) -> float:
    """mean_i Σ_y p_iy ‖∇ℓ(x_i, y)‖², one sample and one label at a time."""
    images = dataset.train.images.astype(np.float64)
    p = tf.nn.softmax(model(images, training=False)).numpy()
    total = 0.0
    for label in range(p.shape[1]):
        rows = jacobian(model, images, np.full(COUNT, label, np.int32))
        total += np.sum(p[:, label] * np.sum(rows**2, axis=1))
    return total / COUNT


def complexity_by_loop(model: keras.Model, dataset: Dataset) -> float:
    """mean_i ‖∂z_i/∂x_i‖_F² by central differences in every input."""
    images, step = dataset.train.images.astype(np.float64), 1e-5
    flat, total = images.reshape(COUNT, -1), 0.0
    for j in range(flat.shape[1]):
        ahead, behind = flat.copy(), flat.copy()
        ahead[:, j] += step
        behind[:, j] -= step
        up, down = (np.asarray(model(x.reshape(images.shape), training=False)) for x in (ahead, behind))
        total += np.sum(((up - down) / (2 * step)) ** 2)
    return total / COUNT


@pytest.mark.parametrize("build", [perceptron, convolutional])
def test_values_of_few_classes_are_exact(build):
    model = build()
    dataset = dataset_of(model)
    values = measured(model, dataset)
    assert values["true_fisher_trace"].value == pytest.approx(fisher_by_loop(model, dataset), rel=AUTODIFF)
    assert values["geometric_complexity"].value == pytest.approx(complexity_by_loop(model, dataset), rel=AUTODIFF)
    assert values["true_fisher_trace"].std_error is None
    assert values["true_fisher_trace"].extras["labels"] == "all"


def test_values_of_many_classes_are_within_their_standard_errors():
    model = many_classes()
    dataset = dataset_of(model, classes=14)
    truths = {
        "true_fisher_trace": fisher_by_loop(model, dataset),
        "geometric_complexity": complexity_by_loop(model, dataset),
    }
    values = measured(model, dataset)
    for name, truth in truths.items():
        assert 0 < values[name].std_error < 0.2 * truth
        assert abs(values[name].value - truth) < 4 * values[name].std_error
    assert measured(model, dataset)["true_fisher_trace"].value == values["true_fisher_trace"].value


def test_settings_of_the_draws_of_gamma_do_not_matter():
    model = perceptron()
    dataset = dataset_of(model)
    changed = ("measure.gamma.logit_scale=0.04", "measure.gamma.batch_norm=batch", "measure.gamma.chunk_size=5")
    value = measured(model, dataset)["true_fisher_trace"].value
    assert measured(model, dataset, *changed)["true_fisher_trace"].value == pytest.approx(value, rel=CLOSED_FORM)


def test_fisher_information_of_a_confident_network_survives():
    """At p(wrong) of 1e-30 the trace is about 1e-30, not 0."""
    model = perceptron()
    head = model.layers[-1]
    head.bias.assign([70.0, 0.0, 0.0])
    head.kernel.assign(0.01 * np.asarray(head.kernel))
    dataset = dataset_of(model)
    found = measured(model, dataset)["true_fisher_trace"].value
    assert 1e-32 < found < 1e-27


def test_dead_network_has_neither_slope_nor_nan():
    model = perceptron()
    for layer in model.layers[1:]:
        layer.kernel.assign(np.zeros_like(layer.kernel))
    values = measured(model, dataset_of(model))
    assert values["geometric_complexity"].value == 0.0
    assert values["true_fisher_trace"].value > 0  # of the biases
