"""Labels and weights as they enter a measurement: what is no class or no weight never passes for one."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from infomcr_cli.errors import InputError
from infomcr_cli.measures.gram.engine import GramEngine, gram_matrix
from infomcr_cli.measures.loss_surface import LossSurface
from tests.measures.tiny import CLASSES, perceptron, samples
from tests.measures.truth import jacobian, relative

TAKEN_BY = [gram_matrix, LossSurface]


def with_label(value: Any, dtype: Any) -> Any:
    labels = np.ones(24, dtype)
    labels[7] = value
    return labels


BAD_RANGE = {
    "beyond 32 bits": with_label(2**32 + 1, np.int64),
    "beyond 32 bits, unsigned": with_label(2**32 + 1, np.uint64),
    "beyond 63 bits": with_label(2**64 - 1, np.uint64),
    "negative": with_label(-1, np.int64),
    "far below": with_label(-(2**32) + 1, np.int64),
    "one too many": with_label(CLASSES, np.uint8),
    "in a column": with_label(2**32 + 1, np.int64)[:, None],
}
NO_INDICES = {
    "floats": np.ones(24),
    "floats in a column": np.ones((24, 1)),
    "truth values": np.ones(24, bool),
    "one-hot": np.eye(CLASSES, dtype=np.int64)[np.ones(24, np.int64)],
    "none": np.ones(0, np.int64),
    "a single number": np.int64(1),
}


@pytest.mark.parametrize("take", TAKEN_BY)
@pytest.mark.parametrize("name", BAD_RANGE)
def test_a_label_that_is_no_class_is_refused_before_it_is_cast(take, name):
    with pytest.raises(InputError, match=rf"labels must lie in 0\.\.{CLASSES - 1}"):
        take(perceptron(), samples((4,))[0], BAD_RANGE[name])


@pytest.mark.parametrize("take", TAKEN_BY)
@pytest.mark.parametrize("name", NO_INDICES)
def test_labels_that_are_no_class_indices_are_refused(take, name):
    with pytest.raises(InputError, match="labels must be a vector of class indices"):
        take(perceptron(), samples((4,))[0], NO_INDICES[name])


def test_labels_that_do_not_fit_are_refused_by_an_engine_in_use_too():
    engine, (images, labels) = GramEngine(perceptron()), samples((4,))
    engine(images, labels)
    with pytest.raises(InputError, match="labels must lie in"):
        engine(images, labels.astype(np.int64) + 2**32)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.uint64])
def test_labels_of_any_integer_type_and_in_a_column_are_the_same_labels(dtype):
    model, (images, labels) = perceptron(), samples((4,))
    truth = gram_matrix(model, images, labels)
    np.testing.assert_array_equal(gram_matrix(model, images, labels.astype(dtype)[:, None]), truth)
    np.testing.assert_array_equal(LossSurface(model, images, labels.astype(dtype)[:, None]).labels, labels)


class Counting(keras.layers.Layer):
    """A layer that holds numbers which Keras counts among its trainable variables, though they are no weights."""

    def __init__(self):
        super().__init__(dtype="float64")
        self.counter = self.add_weight(shape=(3,), dtype="int32")
        self.random = keras.random.SeedGenerator(1)

    def call(self, inputs):
        return inputs + 0.0 * keras.ops.cast(self.counter[0], "float64")


def test_whole_numbers_that_a_layer_holds_are_no_weights():
    plain, (images, labels) = perceptron(), samples((4,))
    image = keras.Input((4,), dtype="float64")
    model = keras.Model(image, plain(Counting()(image)))
    assert len(model.trainable_variables) == len(plain.trainable_variables) + 1
    record = GramEngine(model)(images, labels)
    j = jacobian(plain, images, labels)
    assert relative(record.gram, j @ j.T) < 1e-10
    assert len(record.gradient_method) == len(plain.trainable_variables)
    surface, truth = LossSurface(model, images, labels), LossSurface(plain, images, labels)
    assert surface.size == truth.size
    np.testing.assert_allclose(surface.loss_and_gradient(surface.weights)[1], truth.loss_and_gradient(truth.weights)[1])
    np.testing.assert_allclose(surface.hessian_product(surface.weights), truth.hessian_product(truth.weights))
