"""Layers that training meets seldom: frozen ones, biases with two axes, weights assigned in a call."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from infomcr_cli.config.compose import compose_run
from infomcr_cli.errors import InputError
from infomcr_cli.training import LocalMinimum, train_step
from infomcr_cli.training.optimizers import make_optimizer
from infomcr_cli.training.regularizers.fisher_trace import FisherTrace
from infomcr_cli.training.regularizers.sam import SAM

L = keras.layers
IMAGES = np.random.default_rng(0).normal(size=(56, 12)).astype(np.float32)
LABELS = np.arange(56) % 3


def frozen() -> keras.Model:
    keras.utils.set_random_seed(0)
    still = [L.Dense(64, trainable=False), L.BatchNormalization(trainable=False)]
    model = keras.Sequential([keras.Input([12]), *still, L.Dense(3)])
    for variable in model.layers[1].variables:
        variable.assign(np.random.default_rng(1).uniform(0.5, 2, variable.shape))
    return model


@pytest.mark.parametrize(
    "regularizer", [None, LocalMinimum(7), LocalMinimum(8, share_pass=True), SAM(7), FisherTrace(7, share_pass=True)]
)
def test_frozen_layers_keep_every_bit(regularizer: Any) -> None:
    model = frozen()
    before = [value.copy() for layer in model.layers[:2] for value in layer.get_weights()]
    for _ in range(2):
        train_step(model, keras.optimizers.SGD(0.1), IMAGES, LABELS, regularizer=regularizer)
    after = [value for layer in model.layers[:2] for value in layer.get_weights()]
    assert all((one == other).all() for one, other in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("regularizer", "is_refused"),
    [(None, False), (LocalMinimum(2), False), (LocalMinimum(2, share_pass=True), True), (SAM(1), True)],
)
def test_a_weight_that_a_layer_assigns_is_kept_or_refused(regularizer: Any, is_refused: bool) -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input([12]), L.SpectralNormalization(L.Dense(8), power_iterations=5), L.Dense(3)])
    step = lambda: train_step(model, keras.optimizers.SGD(0.0), IMAGES, LABELS, regularizer=regularizer)  # noqa: E731
    if is_refused:
        with pytest.raises(InputError, match="must not assign a trainable weight"):
            step()
        return
    for _ in range(5):
        step()
    assert np.linalg.norm(model.layers[0].layer.kernel, 2) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("name", ["adamw", "muon", "sgd"])
def test_no_bias_decays_whatever_its_shape(name: str) -> None:
    tokens = keras.Input([4, 6])
    x = L.MultiHeadAttention(2, 3)(tokens, tokens)
    model = keras.Model(tokens, L.Dense(3)(L.GRU(3)(x)))
    for variable in model.trainable_variables:
        variable.assign(np.ones(variable.shape))
    config = compose_run([f"optimizer={name}", "optimizer.weight_decay=0.5", "optimizer.learning_rate=0.1"]).optimizer
    optimizer = make_optimizer(config, 0.1, model.trainable_variables)
    optimizer.apply([np.zeros(v.shape, np.float32) for v in model.trainable_variables], model.trainable_variables)
    for variable in model.trainable_variables:
        assert (np.asarray(variable) == 1).all() == variable.path.endswith("bias"), variable.path


def test_a_network_of_two_outputs_is_refused() -> None:
    image = keras.Input([12])
    model = keras.Model(image, [L.Dense(3)(image), L.Dense(3)(image)])
    for regularizer in (None, SAM(2)):
        with pytest.raises(InputError, match="one tensor of logits"):
            train_step(model, keras.optimizers.SGD(0.1), IMAGES, LABELS, regularizer=regularizer)


def test_fisher_trace_of_a_network_without_trainable_weights_is_zero() -> None:
    model = keras.Sequential([keras.Input([12]), L.Dense(3, trainable=False)])
    scalars = train_step(model, keras.optimizers.SGD(0.1), IMAGES, LABELS, regularizer=FisherTrace(2))
    assert float(scalars["penalty"]) == 0
