"""The slow truths that the engine is held against: one ordinary gradient a sample."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray


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
    """Move every floating-point variable off its initial value, moving statistics included."""
    generator = np.random.default_rng(seed)
    for variable in model.variables:
        if variable.dtype.startswith("float"):
            variable.assign(keras.ops.convert_to_numpy(variable) + 0.3 * generator.random(variable.shape))
    return model


def relative(found: Any, truth: Any) -> float:
    """Return the largest difference in units of the truth's largest entry."""
    return float(np.max(np.abs(found - truth)) / np.max(np.abs(truth)))
