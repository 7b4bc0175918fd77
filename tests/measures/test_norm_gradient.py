"""Batch norm's gradient in closed form, against the one that TensorFlow derives operation by operation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from infomcr_cli.measures import GramEngine
from infomcr_cli.measures.gram import passes
from infomcr_cli.measures.gram.norm_gradient import norm_gradients_in_closed_form
from tests.tolerances import CLOSED_FORM

BatchNorm = partial(keras.layers.BatchNormalization, dtype="float64")
CHUNK, CHUNKS = 4, 3


def frozen(layer: Any) -> Any:
    layer.trainable = False
    return layer


NORMS: dict[str, Callable[[], Any]] = {
    "plain": BatchNorm,
    "no scale": lambda: BatchNorm(scale=False),
    "no offset": lambda: BatchNorm(center=False, epsilon=0.1),
    "of rows": lambda: BatchNorm(axis=1),
    "frozen": lambda: frozen(BatchNorm()),
}


def network(norm: Any) -> keras.Model:
    """Two norms of one layer each, of images and of vectors, with weights that are not 1 and 0."""
    keras.utils.set_random_seed(3)
    inputs = keras.Input((6, 5, 2), dtype="float64")
    x = keras.layers.Conv2D(3, 3, dtype="float64")(inputs)
    x = keras.layers.Activation("tanh", dtype="float64")(norm(x))
    x = BatchNorm()(keras.layers.Flatten(dtype="float64")(x))
    model = keras.Model(inputs, keras.layers.Dense(3, dtype="float64")(x))
    rng = np.random.default_rng(0)
    for variable in model.variables:
        if variable.dtype == "float64":
            variable.assign(variable.numpy() + rng.uniform(0.1, 0.5, variable.shape))
    return model


def samples() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(CHUNK * CHUNKS, 6, 5, 2)), rng.integers(0, 3, CHUNK * CHUNKS)


def dense_gram(model: keras.Model) -> np.ndarray:
    """J Jᵀ with a gradient tape for each sample of each chunk."""
    images, labels = samples()
    rows = []
    for start in range(0, len(images), CHUNK):
        with tf.GradientTape(persistent=True) as tape:
            logits = model(images[start : start + CHUNK], training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels[start : start + CHUNK], logits)
            each = tf.unstack(losses)
        for loss in each:
            gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
            rows.append(np.concatenate([np.ravel(g) for g in gradients]))
    return np.array(rows) @ np.array(rows).T


@pytest.mark.parametrize("name", NORMS)
def test_gram_matrix_in_batch_mode_is_that_of_a_tape_for_each_sample(name: str) -> None:
    model = network(NORMS[name]())
    found = GramEngine(model, batch_norm="batch", chunk_size=CHUNK, audit=False)(*samples()).gram
    truth = dense_gram(model)
    np.testing.assert_allclose(found, truth, atol=CLOSED_FORM * np.abs(truth).max())


def test_inference_mode_keeps_the_layers_own_norm(monkeypatch: pytest.MonkeyPatch) -> None:
    entered: list[Any] = []
    real = norm_gradients_in_closed_form
    monkeypatch.setattr(passes, "norm_gradients_in_closed_form", lambda m: entered.append(m) or real(m))
    model, draw = network(BatchNorm()), samples()
    GramEngine(model, batch_norm="inference")(*draw)
    assert not entered
    GramEngine(model, batch_norm="batch", chunk_size=CHUNK)(*draw)
    assert entered
