"""A network that gives probabilities is refused, by whichever layer or function; one that gives logits never."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from infomcr_cli.errors import InputError
from infomcr_cli.measures import gram_matrix
from infomcr_cli.models import build_model
from infomcr_cli.models.logits import check_logits
from infomcr_cli.training import LocalMinimum, local_minimum_penalty, train_step

layers = keras.layers
IMAGES = np.random.default_rng(1).standard_normal((4, 6, 6, 2)).astype(np.float32)
LABELS = np.arange(4, dtype=np.int32)


def sequential(*last: keras.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((6, 6, 2)), layers.Flatten(), *last])


def functional(last: Callable[[Any], Any]) -> keras.Model:
    image = keras.Input((6, 6, 2))
    return keras.Model(image, last(layers.Dense(4)(layers.Flatten()(image))))


class Own(keras.Model):
    """A subclassed model that ends in a function."""

    def __init__(self, last: Callable[[Any], Any]) -> None:
        super().__init__()
        self.flat, self.dense, self.last = layers.Flatten(), layers.Dense(4), last

    def call(self, x):
        return self.last(self.dense(self.flat(x)))


class Compiled(Own):
    @tf.function
    def call(self, x):
        return super().call(x)


def by_hand(x: Any) -> Any:
    powers = keras.ops.exp(x - keras.ops.max(x, axis=-1, keepdims=True))
    return powers / keras.ops.sum(powers, axis=-1, keepdims=True)


def log_by_hand(x: Any) -> Any:
    return x - keras.ops.logsumexp(x, axis=-1, keepdims=True)


def application() -> keras.Model:
    """A published network with its default head."""
    return keras.applications.MobileNetV3Small(
        weights=None, input_shape=(32, 32, 3), classes=4, include_preprocessing=False, minimalistic=True
    )


PROBABILITIES: dict[str, Callable[[], keras.Model]] = {
    "an activation by name": lambda: sequential(layers.Dense(4, activation="softmax")),
    "an activation by function": lambda: sequential(layers.Dense(4, activation=keras.activations.log_softmax)),
    "a lambda for an activation": lambda: sequential(layers.Dense(4, activation=lambda x: tf.nn.softmax(x))),
    "a sigmoid": lambda: sequential(layers.Dense(4, activation="sigmoid")),
    "an activation layer": lambda: sequential(layers.Dense(4), layers.Activation("softmax")),
    "a softmax layer": lambda: sequential(layers.Dense(4), layers.Softmax()),
    "a nested softmax": lambda: sequential(keras.Sequential([layers.Dense(4), keras.Sequential([layers.Softmax()])])),
    "a softmax in float32 behind bfloat16": lambda: sequential(
        layers.Dense(4, dtype="mixed_bfloat16"), layers.Activation("softmax", dtype="float32")
    ),
    "a softmax in another type and shape": lambda: sequential(
        layers.Dense(4),
        layers.Softmax(),
        layers.Reshape((1, 4)),
        layers.Flatten(dtype="float64"),
        layers.Dropout(0.5),
    ),
    "an operation": lambda: functional(keras.ops.softmax),
    "an operation, log": lambda: functional(keras.ops.log_softmax),
    "a Lambda layer": lambda: functional(layers.Lambda(tf.nn.softmax)),
    "a subclassed model": lambda: Own(tf.nn.softmax),
    "a subclassed model, sigmoid": lambda: Own(tf.nn.sigmoid),
    "a compiled call": lambda: Compiled(keras.ops.sigmoid),
    "a compiled function": lambda: Own(tf.function(tf.nn.sigmoid)),
    "a softmax by hand": lambda: Own(by_hand),
    "a log softmax by hand": lambda: Own(log_by_hand),
    "a mean of softmaxes": lambda: functional(
        lambda x: layers.Average()([layers.Softmax()(x), layers.Dense(4, activation="softmax")(x)])
    ),
    "a network of keras.applications": application,
}
SHARES = keras.initializers.Constant(np.log([0.1, 0.2, 0.3, 0.4]))
LOGITS: dict[str, Callable[[], keras.Model]] = {
    "dense": lambda: sequential(layers.Dense(4)),
    "subclassed": lambda: Own(lambda x: x),
    "zeros": lambda: sequential(layers.Dense(4, kernel_initializer="zeros")),
    "the classes' shares": lambda: sequential(
        layers.Dense(4, kernel_initializer="zeros", bias_initializer=keras.initializers.Constant(0.25))
    ),
    "the logs of the classes' shares": lambda: sequential(
        layers.Dense(4, kernel_initializer="zeros", bias_initializer=SHARES)
    ),
    "rectified": lambda: sequential(layers.Dense(4, activation="relu")),
    "swish, which ends in no sigmoid": lambda: sequential(layers.Dense(4, activation="swish")),
    "a softmax inside": lambda: sequential(layers.Dense(4, activation="softmax"), layers.Dense(4)),
    "a gate": lambda: functional(lambda x: layers.Multiply()([x, layers.Activation("sigmoid")(x)])),
    "one class": lambda: sequential(layers.Dense(1, kernel_initializer="zeros", bias_initializer="ones")),
}


@pytest.mark.parametrize("name", PROBABILITIES)
def test_probabilities_are_refused_with_advice(name: str) -> None:
    model = PROBABILITIES[name]()
    images = IMAGES if name != "a network of keras.applications" else np.zeros((2, 32, 32, 3), np.float32)
    model(images)
    before = [np.array(v) for v in model.variables]
    with pytest.raises(InputError, match=r"must output logits, not probabilities.*(softmax|sigmoid).*Remove the last"):
        check_logits(model, images)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.parametrize("name", LOGITS)
def test_logits_are_accepted_whatever_their_values(name: str) -> None:
    model = LOGITS[name]()
    model(IMAGES)
    check_logits(model, IMAGES)


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_averaged_rectified_maps_are_accepted_as_logits(norm: str) -> None:
    """They lie in 0..1 at first, as probabilities do."""
    model = build_model("nin", input_shape=(6, 6, 2), num_classes=4, depth=1, width=1, base_width=8, norm=norm)
    outputs = np.asarray(model(IMAGES))
    assert outputs.min() >= 0
    copy = keras.models.clone_model(model)
    check_logits(copy, IMAGES)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    "use",
    [
        lambda model, x, y: train_step(model, keras.optimizers.SGD(0.1), x, y),
        lambda model, x, y: train_step(model, keras.optimizers.SGD(0.1), x, y, regularizer=LocalMinimum(2)),
        lambda model, x, y: local_minimum_penalty(model, x, y, num_sub_batches=2, alpha=1e-3),
    ],
)
@pytest.mark.parametrize("name", ["a softmax layer", "a subclassed model", "a compiled call"])
def test_train_step_refuses_probabilities(name: str, use: Any, compiled: Any) -> None:
    model = PROBABILITIES[name]()
    model(IMAGES)
    call = tf.function(use, autograph=False) if compiled else use
    with pytest.raises(InputError, match="logits, not probabilities"):
        call(model, IMAGES, LABELS)


@pytest.mark.parametrize("batch_norm", ["inference", "batch"])
@pytest.mark.parametrize("name", ["a softmax layer", "a sigmoid", "a softmax by hand"])
def test_gram_matrix_refuses_probabilities(name: str, batch_norm: str) -> None:
    with pytest.raises(InputError, match="logits, not probabilities"):
        gram_matrix(PROBABILITIES[name](), IMAGES, LABELS, batch_norm=batch_norm, chunk_size=2)


def test_model_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model, calls = sequential(layers.Dense(4)), []
    plain = type(model).call
    monkeypatch.setattr(type(model), "call", lambda self, *a, **k: (calls.append(1), plain(self, *a, **k))[1])
    check_logits(model, IMAGES)
    assert len(calls) == 1
    check_logits(model, IMAGES)
    assert len(calls) == 1
