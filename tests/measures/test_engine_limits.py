"""The engine where things get large or go wrong: memory, exceptions, batch statistics, random image models."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from infomcr_cli.errors import InputError
from infomcr_cli.measures import GramEngine, gram_matrix
from tests.measures.reference import jacobian, relative, shaken

L = keras.layers
IMAGE = (6, 5, 4)
pytestmark = pytest.mark.usefixtures("double_precision")


def samples(count: int, seed: int = 0) -> tuple[Any, Any]:
    generator = np.random.default_rng(seed)
    return generator.normal(size=(count, *IMAGE)), generator.integers(0, 3, count).astype(np.int32)


def chunk_jacobian(model: keras.Model, images: Any, labels: Any) -> Any:
    """Rows of a chunk that shares batch statistics: every loss by every weight, one loss at a time."""
    rows = []
    for i in range(len(labels)):
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, model(images, training=True))
            one = losses[i]
        parts = tape.gradient(one, [v.value for v in model.trainable_variables])
        rows.append(np.concatenate([p.numpy().ravel() for p in parts]))
    return np.stack(rows)


@pytest.mark.parametrize("chunk", [2, 3, 6])
def test_batch_statistics_couple_the_samples_of_a_chunk(chunk: int) -> None:
    layers = [L.Conv2D(3, 3, use_bias=False), L.BatchNormalization(), L.ReLU(), L.GlobalAveragePooling2D(), L.Dense(3)]
    model = shaken(keras.Sequential([keras.Input(IMAGE, dtype="float64"), *layers]))
    images, labels = samples(6)
    moving = [keras.ops.convert_to_numpy(v).copy() for v in model.non_trainable_variables]
    gram = gram_matrix(model, images, labels, batch_norm="batch", chunk_size=chunk)
    assert all(
        (a == keras.ops.convert_to_numpy(v)).all() for a, v in zip(moving, model.non_trainable_variables, strict=True)
    )
    chunks = [slice(s, s + chunk) for s in range(0, 6, chunk)]
    j = np.concatenate([chunk_jacobian(model, images[c], labels[c]) for c in chunks])
    assert relative(gram, j @ j.T) < 1e-10


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 3, "padding": "same"},
        {"kernel_size": (2, 3), "padding": "same", "strides": 2, "activation": "tanh"},
        {"kernel_size": (3, 2), "strides": (1, 2), "use_bias": False},
        {"kernel_size": (3, 2), "padding": "same", "dilation_rate": (2, 1)},
        {"kernel_size": 1, "strides": 2},
        {"kernel_size": 3, "groups": 2},
    ],
    ids=str,
)
def test_convolutions_between_batch_statistics(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    laid_out = []
    patches = tf.image.extract_patches
    monkeypatch.setattr(tf.image, "extract_patches", lambda x, *rest: laid_out.append(x.shape) or patches(x, *rest))
    first, again = L.Conv2D(16, **options), L.Conv2D(16, 1, activation="relu")
    layers = [L.Conv2D(16, 1), L.BatchNormalization(), again, first, L.BatchNormalization(), again]
    head = [L.GlobalAveragePooling2D(), L.Dense(3)]
    model = shaken(keras.Sequential([keras.Input(IMAGE, dtype="float64"), *layers, *head]))
    images, labels = samples(4)
    record = GramEngine(model, batch_norm="batch", chunk_size=4)(images, labels)
    j = chunk_jacobian(model, images, labels)
    assert relative(record.gram, j @ j.T) < 1e-10
    assert len(laid_out) == 3 - (options.keys() & {"groups", "dilation_rate"} != set())
    assert first.convolution_op.__func__ is L.Conv2D.convolution_op


class Untraceable(keras.Model):
    """A convolution inside a condition, and an operation that cannot be vectorised."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.head = L.Conv2D(16, 3, padding="same"), L.Dense(3)
        self.convolution.build((None, 6, 5, 16))

    def call(self, inputs: Any) -> Any:
        x = tf.cond(tf.reduce_mean(inputs) > -9, lambda: self.convolution(inputs), lambda: inputs)
        x = tf.ensure_shape(tf.grad_pass_through(lambda a: tf.py_function(np.array, [a], a.dtype))(x), inputs.shape)
        return self.head(tf.reshape(x, [-1, 480]))


def test_unvectorisable_operation_is_differentiated_sample_by_sample() -> None:
    model, (images, labels) = Untraceable(), samples(4)
    images = np.tile(images, 4)
    model(images)
    shaken(model)
    gram = gram_matrix(model, images, labels, batch_norm="batch", chunk_size=4)
    j = chunk_jacobian(model, images, labels)
    assert relative(gram, j @ j.T) < 1e-10


PIECES: dict[str, Any] = {
    "conv": lambda: L.Conv2D(4, 3, padding="same", activation="tanh"),
    "strided": lambda: L.Conv2D(4, 2, strides=2, padding="same", use_bias=False),
    "dilated": lambda: L.Conv2D(4, 2, dilation_rate=2, padding="same"),
    "grouped": lambda: L.Conv2D(4, (1, 3), groups=2, padding="same"),
    "depthwise": lambda: L.DepthwiseConv2D(2, padding="same"),
    "separable": lambda: L.SeparableConv2D(4, 2, padding="same"),
    "batch norm": lambda: L.BatchNormalization(),
    "layer norm": lambda: L.LayerNormalization(),
    "group norm": lambda: L.GroupNormalization(2),
    "prelu": lambda: L.PReLU(),
    "pool": lambda: L.MaxPooling2D(2, padding="same"),
    "dense": lambda: L.Dense(4, "gelu"),
}


@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.sampled_from(list(PIECES)), min_size=1, max_size=4),
    st.booleans(),
    st.sampled_from([3, 5]),
    st.integers(0, 2**32 - 1),
)
def test_random_image_models(kinds: list[str], with_sum: bool, count: int, seed: int) -> None:
    image = keras.Input(IMAGE, dtype="float64")
    x: Any = image
    for kind in kinds:
        layer = PIECES[kind]()
        y = layer(x)
        x = L.Add()([x, layer(y)]) if with_sum and y.shape == x.shape and layer(y).shape == x.shape else y
    model = shaken(keras.Model(image, L.Dense(3)(L.Flatten()(x))))
    images, labels = samples(count, seed)
    j = jacobian(model, images, labels)
    record = GramEngine(model)(images, labels)
    assert relative(record.gram, j @ j.T) < 1e-8
    assert "model" not in record.gradient_method.values()


class Refusing(L.Layer):
    """Works when the model is built and called, raises inside a measurement."""

    refuses = False

    def call(self, inputs: Any) -> Any:
        if self.refuses:
            raise RuntimeError("not today")
        return inputs


def test_exception_during_a_trace_leaves_the_model_unchanged() -> None:
    layers = [L.Conv2D(3, 3), L.BatchNormalization(), Refusing(), L.Flatten(), L.Dense(3, "tanh")]
    model, (images, labels) = keras.Sequential([keras.Input(IMAGE, dtype="float64"), *layers]), samples(4)
    before = model.get_weights()
    inner = [{k: vars(layer).get(k) for k in ("call", "activation")} for layer in model.layers]
    truth = model.predict_on_batch(images)
    layers[2].refuses = True
    for mode in ("inference", "batch"):
        with pytest.raises(RuntimeError, match="not today"):
            gram_matrix(model, images, labels, batch_norm=mode, chunk_size=2)
    layers[2].refuses = False
    assert [{k: vars(layer).get(k) for k in ("call", "activation")} for layer in model.layers] == inner
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))
    np.testing.assert_array_equal(truth, model.predict_on_batch(images))
    j = jacobian(model, images, labels)
    assert relative(gram_matrix(model, images, labels), j @ j.T) < 1e-10


CEILING = r"""
import re, sys
from pathlib import Path
import numpy as np
from infomcr_cli.errors import InputError
from infomcr_cli.measures import GramEngine
from infomcr_cli.models import build_model

def megabytes():  # the peak of this program; ru_maxrss would begin with that of the process that started it
    return int(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1]) / 1024

model = build_model("wrn", input_shape=(32, 32, 3), num_classes=10, depth=10, width=2, l2=0.0)
images, labels = np.random.default_rng(0).normal(size=(256, 32, 32, 3)).astype("f"), np.arange(256) % 10
GramEngine(model)(images[:4], labels[:4])
before = megabytes()
GramEngine(model, memory=sys.argv[1])(images, labels)
print(megabytes() - before)
"""
BEYOND = 100  # MB: the compiled functions, the samples, fragments


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from Linux's /proc")
def test_engine_stays_within_its_memory_budget() -> None:
    """All rows of this draw take 316 MB: without a budget the process grows by more than 400 MB."""
    grown = [
        float(subprocess.run([sys.executable, "-c", CEILING, m], capture_output=True, text=True, check=True).stdout)
        for m in ("100MB", "4GB")
    ]
    assert grown[0] < 100 + BEYOND
    assert grown[1] > 300


@pytest.mark.parametrize("wrong", [3, -1, 2**32 + 1, -(2**32) + 1, 1.5, np.nan])
def test_label_outside_the_classes_is_refused_before_it_is_cast(wrong):
    """As int32 2**32 + 1 would be class 1."""
    model = keras.Sequential([keras.Input(IMAGE, dtype="float64"), L.Flatten(), L.Dense(3)])
    images, labels = samples(4)
    labels = labels.astype(np.float64 if isinstance(wrong, float) else np.int64)
    labels[2] = wrong
    with pytest.raises(InputError, match=r"labels must (be|lie in) (0\.\.|whole numbers)"):
        gram_matrix(model, images, labels)


@pytest.mark.parametrize("cast", ["uint8", "int64", "float32", "bool"])
def test_the_type_of_labels_changes_no_bit_of_the_gram_matrix(cast):
    model = keras.Sequential([keras.Input(IMAGE, dtype="float64"), L.Flatten(), L.Dense(3)])
    images, labels = samples(4)
    labels %= 2
    np.testing.assert_array_equal(gram_matrix(model, images, labels.astype(cast)), gram_matrix(model, images, labels))
