"""Sums of norms and distances of layers against dense matrices, with batch norm folded by hand."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from tolerances import SINGLE

from infomcr_cli.config.compose import compose_run
from infomcr_cli.data import Dataset, Split
from infomcr_cli.measures.context import MeasureContext
from infomcr_cli.measures.evaluate import evaluate_measures
from infomcr_cli.models import named_weights
from tests.measures.reference import CLASSES, convolutional, perceptron

NAMES = (
    "parameter_norm",
    "frobenius_distance",
    "spectral_distance",
    "frobenius_over_spectral",
    "spectral_distance_product",
    "inverse_margin_squared",
    "path_norm_over_margin",
    "margin",
    "path_norm",
)


def as_trained(build: Any) -> tuple[keras.Model, dict[str, Any]]:
    """A network that has moved from its initial weights, and those."""
    model = build()
    initial = {name: np.array(v) for name, v in named_weights(model).items()}
    rng = np.random.default_rng(3)
    for variable in model.variables:
        if variable.dtype.startswith("float"):
            variable.assign(np.asarray(variable) + 0.2 * rng.uniform(0.1, 1, variable.shape))
    return model, initial


def own_labels(model: keras.Model) -> Dataset:
    """Images that the network itself has labelled, so that its margins are positive."""
    images = np.random.default_rng(0).standard_normal((40, *model.input_shape[1:])).astype(np.float32)
    labels = np.argmax(np.asarray(model(images, training=False)), axis=1).astype(np.int32)
    split, channels = Split(images, labels), model.input_shape[-1]
    return Dataset("own", split, split, ("a", "b", "c"), (0.0,) * channels, (1.0,) * channels, True, "own")


def measured(model: keras.Model, initial: dict[str, Any] | None, dataset: Dataset | None = None) -> Any:
    config = compose_run([f"measure.names=[{','.join(NAMES)}]", "measure.samples=40"]).measure
    return evaluate_measures(
        MeasureContext(model, dataset or own_labels(model), config, initial_weights=lambda: initial)
    )


def matrices(model: keras.Model, values: dict[str, Any] | None = None) -> list[tuple[float, Any]]:
    """‖W‖_F of each folded kernel and the matrix of its operator, by unit vectors, at these values."""
    before = [np.array(v) for v in model.variables]
    for name, variable in named_weights(model).items():
        if values is not None:
            variable.assign(values[name])
    found, layers = [], [layer for layer in model.layers if layer.weights]
    for layer in layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            scale = np.asarray(layer.gamma) / np.sqrt(np.asarray(layer.moving_variance) + layer.epsilon)
            if layer is layers[1]:  # behind a convolution of which it is the only reader
                kernel, matrix, channels = found.pop()
                kernel, matrix = kernel * scale, matrix * np.tile(scale, matrix.shape[1] // channels)
                found.append((kernel, matrix, channels))
            else:
                found.append((scale, np.diag(scale), len(scale)))
        elif isinstance(layer, keras.layers.Conv2D):
            shape = layer.input.shape[1:]
            units = np.eye(int(np.prod(shape))).reshape(-1, *shape)
            kernel = np.asarray(layer.kernel)
            found.append(
                (kernel, np.asarray(layer.convolution_op(units, kernel)).reshape(len(units), -1), layer.filters)
            )
        else:
            found.append((np.asarray(layer.kernel), np.asarray(layer.kernel), layer.units))
    for variable, value in zip(model.variables, before, strict=True):
        variable.assign(value)
    return [(kernel, matrix) for kernel, matrix, _ in found]


@pytest.mark.parametrize("build", [perceptron, convolutional])
def test_sums_over_layers_agree_with_dense_matrices(build):
    model, initial = as_trained(build)
    now, start = matrices(model), matrices(model, initial)
    frobenius = [np.sum(kernel**2) for kernel, _ in now]
    spectral = [np.linalg.norm(matrix, 2) ** 2 for _, matrix in now]
    moved = [np.sum((a - b) ** 2) for (a, _), (b, _) in zip(now, start, strict=True)]
    moved_spectral = [np.linalg.norm(a - b, 2) ** 2 for (_, a), (_, b) in zip(now, start, strict=True)]
    values = {name: one.value for name, one in measured(model, initial).items()}
    ratio = sum(m / s for m, s in zip(moved, spectral, strict=True))
    truth = {
        "parameter_norm": sum(frobenius),
        "frobenius_distance": sum(moved),
        "spectral_distance": sum(moved_spectral),
        "frobenius_over_spectral": sum(f / s for f, s in zip(frobenius, spectral, strict=True)),
        "spectral_distance_product": sum(np.log(spectral)) + np.log(ratio) - 2 * np.log(values["margin"]),
        "inverse_margin_squared": 1 / values["margin"] ** 2,
        "path_norm_over_margin": values["path_norm"] - np.log(values["margin"]),
    }
    assert {name: values[name] for name in truth} == pytest.approx(truth, rel=SINGLE)


def test_network_is_left_as_it_was():
    model, initial = as_trained(convolutional)
    before = [np.array(v) for v in model.variables]
    measured(model, initial)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(np.array(variable), value)


def test_network_without_initial_weights_says_so_and_keeps_the_other_measures():
    values = measured(as_trained(perceptron)[0], None)
    without = {name for name, one in values.items() if one.value is None}
    assert without == {"frobenius_distance", "spectral_distance", "spectral_distance_product"}
    assert all("initial weights" in values[name].extras["reason"] for name in without)


def test_initial_weights_of_another_network_are_refused():
    model, _ = as_trained(perceptron)
    values = measured(model, {"other/kernel": np.zeros(3)})
    assert "fit" in values["frobenius_distance"].extras["reason"]


def test_untrained_network_has_moved_by_nothing():
    model = perceptron()
    values = measured(model, {name: np.array(v) for name, v in named_weights(model).items()})
    assert values["frobenius_distance"].value == values["spectral_distance"].value == 0.0
    assert "must not be zero" in values["spectral_distance_product"].extras["reason"]


def test_layer_of_zeros_has_no_ratio_to_its_spectral_norm():
    model, initial = as_trained(perceptron)
    model.layers[1].kernel.assign(np.zeros_like(model.layers[1].kernel))
    values = measured(model, initial)
    assert "zeros" in values["frobenius_over_spectral"].extras["reason"]
    assert values["parameter_norm"].value > 0


def test_margin_that_is_not_positive_is_the_reason():
    model, initial = as_trained(perceptron)
    dataset = own_labels(model)
    wrong = Split(dataset.train.images, (dataset.train.labels + 1) % CLASSES)
    other = Dataset("wrong", wrong, wrong, ("a", "b", "c"), dataset.mean, dataset.std, True, "wrong")
    values = measured(model, initial, other)
    for name in ("inverse_margin_squared", "path_norm_over_margin", "spectral_distance_product"):
        assert "margin must be positive" in values[name].extras["reason"]
