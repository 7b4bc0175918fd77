"""Small float64 networks, random samples, and the slow reference values that measures are tested against."""

from __future__ import annotations

from functools import cache
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

CLASSES = 3


def samples(shape: tuple[int, ...], count: int = 24, seed: int = 0) -> tuple[Any, Any]:
    """Normal inputs [count, *shape] and labels [count]."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, *shape)), rng.integers(0, CLASSES, count).astype(np.int32)


def perceptron(inputs: int = 4, hidden: int = 5, bias: bool = True) -> keras.Model:
    """Two dense layers with a rectifier in between, float64."""
    keras.utils.set_random_seed(1)
    image = keras.Input((inputs,), dtype="float64")
    x = keras.layers.Dense(hidden, activation="relu", dtype="float64", use_bias=bias)(image)
    return keras.Model(image, keras.layers.Dense(CLASSES, dtype="float64", use_bias=bias)(x))


def convolutional(seed: int = 2) -> keras.Model:
    """Convolution, batch norm, rectifier, strided convolution, sum with a shortcut, batch norm, head; float64."""
    keras.utils.set_random_seed(seed)

    def conv(x: Any, filters: int, size: int, stride: int) -> Any:
        return keras.layers.Conv2D(filters, size, stride, "same", use_bias=False, dtype="float64")(x)

    image = keras.Input((6, 6, 2), dtype="float64")
    x = conv(image, 3, 3, 1)
    x = keras.layers.ReLU(dtype="float64")(keras.layers.BatchNormalization(dtype="float64")(x))
    x = keras.layers.Add(dtype="float64")([conv(x, 4, 3, 2), conv(x, 4, 1, 2)])
    x = keras.layers.ReLU(dtype="float64")(keras.layers.BatchNormalization(dtype="float64")(x))
    x = keras.layers.GlobalAveragePooling2D(dtype="float64")(x)
    model = keras.Model(image, keras.layers.Dense(CLASSES, dtype="float64")(x))
    shake_batch_norm(model, seed)
    return model


def shake_batch_norm(model: keras.Model, seed: int) -> None:
    """Give batch norms scales, offsets and statistics as if they had learned something."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            for variable, low in (
                (layer.gamma, -1.5),
                (layer.beta, -0.5),
                (layer.moving_mean, -0.5),
                (layer.moving_variance, 0.3),
            ):
                variable.assign(rng.uniform(low, 1.5, variable.shape))


def mean_loss(model: keras.Model, images: Any, labels: Any) -> tf.Tensor:
    """Mean cross-entropy by Keras, inference mode."""
    return tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(labels, model(images), from_logits=True))


def full_hessian(model: keras.Model, images: Any, labels: Any) -> Any:
    """The Hessian of the mean loss by all trainable weights, [W, W], by nested Jacobians."""
    variables = [v.value for v in model.trainable_variables]
    with tf.GradientTape(persistent=True) as outer:
        with tf.GradientTape() as inner:
            loss = mean_loss(model, images, labels)
        gradients = inner.gradient(loss, variables)
        flat = tf.concat([tf.reshape(g, [-1]) for g in gradients], 0)
    blocks = outer.jacobian(flat, variables, experimental_use_pfor=False)
    return np.concatenate([b.numpy().reshape(len(flat), -1) for b in blocks], axis=1)


@cache
def with_hessian(build: Any) -> tuple[keras.Model, Any, Any, Any]:
    """A network, samples of more than one block, and its full Hessian on them; made once, since it is slow."""
    model = build()
    images, labels = samples(model.input_shape[1:], count=70)
    return model, images, labels, full_hessian(model, images, labels)


def jacobian(model: keras.Model, images: Any, labels: Any) -> NDArray[np.float64]:
    """Return J, one sample at a time, [N, W], float64 arithmetic where the model's is."""
    return np.stack([_gradient(model, images[i : i + 1], labels[i : i + 1]) for i in range(len(labels))])


def weights(model: keras.Model) -> NDArray[np.float64]:
    """Return all trainable weights as one vector, [W]."""
    return np.concatenate([keras.ops.convert_to_numpy(v).ravel() for v in model.trainable_variables]).astype(np.float64)


def _gradient(model: keras.Model, image: Any, label: Any) -> NDArray[np.float64]:
    with tf.GradientTape() as tape:
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(label, model(image, training=False))
    parts = tape.gradient(loss, [v.value for v in model.trainable_variables], unconnected_gradients="zero")
    return np.concatenate([tf.convert_to_tensor(p).numpy().ravel() for p in parts]).astype(np.float64)


def shaken(model: keras.Model, seed: int = 0) -> keras.Model:
    """Change every floating-point variable from its initial value, moving statistics included."""
    generator = np.random.default_rng(seed)
    for variable in model.variables:
        if variable.dtype.startswith("float"):
            variable.assign(keras.ops.convert_to_numpy(variable) + 0.3 * generator.random(variable.shape))
    return model


def relative(found: Any, truth: Any) -> float:
    """Return the largest difference in units of the truth's largest entry."""
    return float(np.max(np.abs(found - truth)) / np.max(np.abs(truth)))
