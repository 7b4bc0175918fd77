"""Slow references: regularizers written out in NumPy, with one `GradientTape` for each pass.

Without loops and stateless calls: weights are assigned and put back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

Arrays = list[np.ndarray]
CLASSES = 4


def network(kind: str, **style: Any) -> keras.Model:
    """A small float64 network of a kind, with moving statistics and biases that differ from their initial values."""
    from infomcr_cli.models import build_model

    narrow: dict[str, dict[str, Any]] = {
        "wrn": {"widths": (3, 4), "blocks_per_group": 1},
        "resnet": {"depth": 8, "width": 0.125},
        "mlp": {"depth": 2, "width": 7},
        "nin": {"depth": 1, "width": 1, "base_width": 5},
    }
    with float64():
        keras.utils.set_random_seed(3)
        model = build_model(kind, input_shape=(6, 6, 2), num_classes=CLASSES, l2=1e-3, **narrow[kind], **style)
    rng = np.random.default_rng(4)
    for variable in model.weights:
        if variable.dtype == "float64":
            variable.assign(
                variable.numpy() * rng.uniform(0.8, 1.2, variable.shape) + rng.uniform(0, 0.1, variable.shape)
            )
    return model


def network_in(policy: str) -> keras.Model:
    """A small network that computes in a precision policy, with float32 weights that do not depend on it."""
    from infomcr_cli.models import build_model

    keras.config.set_dtype_policy(policy)
    try:
        keras.utils.set_random_seed(8)
        return build_model("wrn", input_shape=(6, 6, 2), num_classes=4, widths=(8, 16), blocks_per_group=1)
    finally:
        keras.config.set_dtype_policy("float32")


def single(arrays: tuple[np.ndarray, ...]) -> list[np.ndarray]:
    """Return arrays with float64 turned to float32."""
    return [a.astype(np.float32) if a.dtype == np.float64 else a for a in arrays]


def batch(size: int = 12, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Normal images [size, 6, 6, 2] and labels."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((size, 6, 6, 2)), rng.integers(0, CLASSES, size).astype(np.int32)


@contextmanager
def float64() -> Iterator[None]:
    """Build layers in float64 inside the block."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def arrays(variables: Any) -> Arrays:
    """Return copies of the values of variables."""
    return [np.array(variable) for variable in variables]


def gradient_at(model: keras.Model, weights: Arrays, images: Any, labels: Any) -> tuple[float, Arrays]:
    """Return the cross-entropy at `weights` on the images' own statistics, and its gradient; all is put back."""
    kept = arrays(model.variables)
    for variable, value in zip(model.trainable_variables, weights, strict=True):
        variable.assign(value)
    with tf.GradientTape() as tape:
        log_p = tf.nn.log_softmax(model(images, training=True))
        loss = -tf.reduce_mean(tf.gather(log_p, labels, batch_dims=1))
    gradient = tape.gradient(loss, [v.value for v in model.trainable_variables], unconnected_gradients="zero")
    for variable, value in zip(model.variables, kept, strict=True):
        variable.assign(value)
    return float(loss), [np.array(g) for g in gradient]


def norm(vectors: Arrays) -> float:
    """Return the Euclidean norm over all arrays."""
    return float(np.sqrt(sum(np.sum(v * v) for v in vectors)))


def perturbed(
    model: keras.Model, images: Any, labels: Any, parts: int, move: Callable[[Arrays], Arrays]
) -> tuple[float, Arrays, Arrays]:
    """Return mean_m (L_m(w) - L_m(w'_m)), mean_m (g_m - g'_m) and mean_m g_m."""
    w = arrays(model.trainable_variables)
    drops, differences, here = [], [], []
    for x, y in zip(np.split(images, parts), np.split(labels, parts), strict=True):
        loss, g = gradient_at(model, w, x, y)
        moved_loss, moved = gradient_at(model, [a + b for a, b in zip(w, move(g), strict=True)], x, y)
        drops.append(loss - moved_loss)
        differences.append([a - b for a, b in zip(g, moved, strict=True)])
        here.append(g)
    return float(np.mean(drops)), mean(differences), mean(here)


def mean(lists: list[Arrays]) -> Arrays:
    """Return the means of lists of arrays, element by element."""
    return [np.mean(column, axis=0) for column in zip(*lists, strict=True)]


def mean_square(model: keras.Model, weights: Arrays, images: Any, labels: Any, parts: int) -> float:
    """Return mean_m ‖g_m‖² at `weights`."""
    split = zip(np.split(images, parts), np.split(labels, parts), strict=True)
    return float(np.mean([norm(gradient_at(model, weights, x, y)[1]) ** 2 for x, y in split]))


def slope(function: Callable[[Arrays], float], weights: Arrays, direction: Arrays, step: float = 1e-4) -> float:
    """Return the derivative of a function along a direction, by central differences of fourth order."""

    def at(t: float) -> float:
        return function([w + t * d for w, d in zip(weights, direction, strict=True)])

    return (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step)


def directions(model: keras.Model, count: int) -> list[Arrays]:
    """Return random directions of unit length in the space of weights."""
    rng = np.random.default_rng(6)
    raw = [[rng.standard_normal(v.shape) for v in model.trainable_variables] for _ in range(count)]
    return [[a / norm(d) for a in d] for d in raw]


def dot(left: Arrays, right: Arrays) -> float:
    """Return the inner product over all arrays."""
    return float(sum(np.sum(np.asarray(a) * np.asarray(b)) for a, b in zip(left, right, strict=True)))
