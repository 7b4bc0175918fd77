"""Layers whose methods are a `tf.function` take part in every pass as others do."""

from __future__ import annotations

from functools import cache
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tolerances import FLOAT32, ROUNDING

from infomcr_cli import measure
from infomcr_cli.training import LocalMinimum, train_step
from infomcr_cli.training.regularizers.fisher_trace import FisherTrace
from tests.training import reference as ref

LAYERS = keras.layers


class Plain(keras.Model):
    """Draws units, keeps statistics, adds a loss, and decides by a tensor in a loop."""

    def __init__(self) -> None:
        super().__init__()
        self.flat, self.norm, self.drop = LAYERS.Flatten(), LAYERS.BatchNormalization(), LAYERS.Dropout(0.3, seed=1)
        self.hidden = LAYERS.Dense(5, activity_regularizer=keras.regularizers.L2(0.1))
        self.out = LAYERS.Dense(ref.CLASSES)

    def call(self, x, training=False):
        x = self.drop(self.norm(self.hidden(self.flat(x)), training=training), training=training)
        return self.out(keras.ops.tanh(x))


class Compiled(Plain):
    @tf.function
    def call(self, x, training=False):
        return super().call(x, training=training)


class Branching(Plain):
    @tf.function
    def call(self, x, training=False):
        if tf.reduce_sum(x) > 1e9:
            x = -x
        return super().call(x, training=training)


class OfAnAttribute(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.last = tf.function(lambda x: self.out(x))

    def call(self, x, training=False):
        x = self.drop(self.norm(self.hidden(self.flat(x)), training=training), training=training)
        return self.last(keras.ops.tanh(x))


class OfABoundMethod(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.last = tf.function(self._last)

    def _last(self, x):
        if tf.reduce_sum(x) > 1e9:
            x = -x
        return self.out(x)

    def call(self, x, training=False):
        x = self.drop(self.norm(self.hidden(self.flat(x)), training=training), training=training)
        return self.last(keras.ops.tanh(x))


def stepped(kind: type[keras.Model], regularizer: Any, compiled: bool) -> tuple[ref.Arrays, dict[str, float]]:
    images, labels = ref.batch()
    with ref.float64():
        keras.utils.set_random_seed(2)
        model, optimizer = kind(), keras.optimizers.SGD(0.5)
        model(images)  # a graph is kept from here on, with the variables in it
        optimizer.build(model.trainable_variables)

    def step() -> Any:
        return train_step(model, optimizer, images, labels, regularizer=regularizer)

    step = tf.function(step, autograph=False) if compiled else step
    step()
    scalars = step()
    model(images, training=True)  # what is kept is not of a graph that is gone
    return ref.arrays(model.variables), {name: float(value) for name, value in scalars.items()}


@cache
def plain(regularizer: Any, compiled: bool) -> tuple[ref.Arrays, dict[str, float]]:
    return stepped(Plain, regularizer, compiled)


@pytest.mark.parametrize(
    ("kind", "compiled"), [(Compiled, False), (Branching, True), (OfAnAttribute, True), (OfABoundMethod, True)]
)
@pytest.mark.parametrize(
    "regularizer", [None, LocalMinimum(2, 1e-2), LocalMinimum(2, 1e-2, share_pass=True), FisherTrace(2, 0.05)]
)
def test_layer_with_tf_function_takes_the_steps_of_a_plain_layer(regularizer: Any, kind: str, compiled: Any) -> None:
    expected, scalars = plain(regularizer, compiled)
    found, ours = stepped(kind, regularizer, compiled)
    assert ours == pytest.approx(scalars, rel=1e-9)
    assert (ours["penalty"] > 0) == (regularizer is not None)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=ROUNDING)


@pytest.mark.parametrize("kind", [Compiled, OfAnAttribute, OfABoundMethod])
def test_measures_of_a_layer_with_tf_function_are_those_of_a_plain_layer(kind: type[keras.Model]) -> None:
    images, labels = ref.batch()
    found = []
    for one in (Plain, kind):
        keras.utils.set_random_seed(2)
        model = one()
        model(images)  # a graph is kept from here on
        names = ["gamma", "sharpness", "final_gradient_norm"]
        settings = {"gamma.samples": 4, "gamma.draw_size": 4, "gamma.draws": 1}
        values = measure(model, (images, labels), names=names, settings=settings)
        found.append({name: value["value"] for name, value in values.items()})
    assert None not in found[0].values()
    assert found[1] == pytest.approx(found[0], rel=FLOAT32)
