"""Each measure stays the same under the changes of the network that it claims to be invariant to, and under no other.

The changes are those of `measures/families.py`, made by hand on a small float64 network.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from tolerances import SINGLE, STOCHASTIC

from infomcr_cli.config.compose import compose_run
from infomcr_cli.data import Dataset, Split
from infomcr_cli.measures.base import chosen_measures
from infomcr_cli.measures.context import MeasureContext
from infomcr_cli.measures.evaluate import evaluate_measures
from infomcr_cli.measures.families import CHANGES, SAME_FUNCTION, Change
from infomcr_cli.measures.history import RunHistory
from infomcr_cli.models import named_weights
from tests.measures.recorded import recorded_history

L = keras.layers
FACTOR = 3.0
SETTINGS = (
    "measure.names=all",
    "measure.samples=40",
    "measure.gamma.samples=40",
    "measure.gamma.draw_size=20",
    "measure.gamma.precision=float64",
    "measure.sharpness.sub_batch=20",
    "measure.sharpness.iterations=2",
    "measure.curvature.probes=2",
    "measure.curvature.eigenvalues=1",
    "measure.curvature.products=30",
    "measure.noise.draws=2",
    "measure.sharpness.noise_draws=2",
    "measure.sharpness.ascent_steps=3",
    "measure.learning_coefficient.radius=0.05",
    "measure.learning_coefficient.batch=40",
    "measure.basin_volume.rays=2",
)


def easy_images() -> Dataset:
    """Three classes that a small network separates with a margin."""
    rng = np.random.default_rng(0)
    labels = (np.arange(40) % 3).astype(np.int32)
    images = rng.uniform(0, 160, (40, 6, 6, 1)) + 30.0 * labels[:, None, None, None]
    split = Split(images.astype(np.float32), labels)
    return Dataset("easy", split, split, ("a", "b", "c"), (110.0,), (53.0,), True, "easy")


def batch_norm_and_rectifiers() -> keras.Model:
    """A layer before batch norm, two before rectifiers, and the logits."""
    keras.utils.set_random_seed(0)
    image = keras.Input((6, 6, 1))
    x = L.ReLU()(L.BatchNormalization(name="norm")(L.Conv2D(3, 3, name="first")(image)))
    x = L.GlobalAveragePooling2D()(L.ReLU()(L.Conv2D(4, 3, name="second")(x)))
    x = L.Dense(5, activation="relu", name="third")(x)
    return keras.Model(image, L.Dense(3, name="logits")(x))


def scale(layer: Any, by: float) -> None:
    for variable in (layer.kernel, layer.bias):
        variable.assign(by * np.asarray(variable))


def batch_norm_rescaling(model: keras.Model) -> None:
    norm = model.get_layer("norm")
    scale(model.get_layer("first"), FACTOR)
    norm.moving_mean.assign(FACTOR * np.asarray(norm.moving_mean))
    norm.moving_variance.assign(FACTOR**2 * (np.asarray(norm.moving_variance) + norm.epsilon) - norm.epsilon)


def homogeneous_rescaling(model: keras.Model) -> None:
    for name, following in (("second", "third"), ("third", "logits")):
        scale(model.get_layer(name), FACTOR)
        kernel = model.get_layer(following).kernel
        kernel.assign(np.asarray(kernel) / FACTOR)


def logit_scaling(model: keras.Model) -> None:
    scale(model.get_layer("logits"), FACTOR)


MADE: dict[Change, Callable[[keras.Model], None]] = {
    "batch_norm_rescaling": batch_norm_rescaling,
    "homogeneous_rescaling": homogeneous_rescaling,
    "logit_scaling": logit_scaling,
}


def evaluated(
    model: keras.Model, dataset: Dataset, initial: dict[str, Any], history: RunHistory
) -> dict[str, float | None]:
    images, labels = dataset.standardise(dataset.train.images), dataset.train.labels
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, model(images))
    config = compose_run(SETTINGS).measure
    found = evaluate_measures(
        MeasureContext(model, dataset, config, initial_weights=lambda: initial, train_loss=float(loss), history=history)
    )
    return {name: value.value for name, value in found.items()}


@pytest.fixture(scope="module")
def values(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, float | None]]:
    """The value of each measure as trained, and after each change."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    model, dataset = batch_norm_and_rectifiers(), easy_images()
    initial = {name: np.array(v) for name, v in named_weights(model).items()}
    history = recorded_history(tmp_path_factory.mktemp("invariance") / "run", initial)
    model.compile(keras.optimizers.Adam(0.02), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(dataset.standardise(dataset.train.images), dataset.train.labels, batch_size=20, epochs=40, verbose=0)
    trained = [np.array(v) for v in model.variables]
    found = {"as trained": evaluated(model, dataset, initial, history)}
    for name, change in MADE.items():
        for variable, value in zip(model.variables, trained, strict=True):
            variable.assign(value)
        change(model)
        found[name] = evaluated(model, dataset, initial, history)
    keras.config.set_dtype_policy(before)
    return found


def test_every_change_is_made() -> None:
    assert MADE.keys() == CHANGES.keys()


@pytest.mark.parametrize("change", SAME_FUNCTION)
def test_rescaling_preserves_the_function(values: Any, change: Change) -> None:
    for name in ("train_loss", "margin"):
        assert values[change][name] == pytest.approx(values["as trained"][name], rel=1e-9)


@pytest.mark.parametrize("change", CHANGES)
def test_measure_is_invariant_to_the_changes_that_it_claims(values: Any, change: Change) -> None:
    before, after = values["as trained"], values[change]
    claimed = [measure.name for measure in chosen_measures() if change in measure.invariance]
    assert {n: after[n] for n in claimed} == pytest.approx({n: before[n] for n in claimed}, rel=SINGLE)


NEARLY_INVARIANT = {"magnitude_noise_scale"}  # but for the noise on weights near zero
TOO_SMALL_TO_CHANGE = {"weighted_alpha"}  # the layers that are scaled have too few eigenvalues here to count


@pytest.mark.parametrize("change", CHANGES)
def test_measure_changes_where_it_does_not_claim_to_stay(values: Any, change: Change) -> None:
    before, after = values["as trained"], values[change]
    others = [measure.name for measure in chosen_measures() if change not in measure.invariance]
    assert {
        name for name in others if after[name] == pytest.approx(before[name], rel=STOCHASTIC)
    } <= NEARLY_INVARIANT | TOO_SMALL_TO_CHANGE


def test_every_measure_has_a_value_here(values: Any) -> None:
    assert {name for of_one in values.values() for name, value in of_one.items() if value is None} == set()
