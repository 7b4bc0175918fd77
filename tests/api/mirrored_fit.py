"""Fit on one device and on two, and print the largest difference of a weight; run in a process of its own."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from infomcr_cli import SAM, LocalMinimum, RegularizedModel

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
rng = np.random.default_rng(0)
x, y = rng.standard_normal((64, 6)).astype(np.float32), rng.integers(0, 3, 64)


def fitted(strategy: tf.distribute.Strategy, regularizer: Any) -> list[np.ndarray]:
    with strategy.scope():
        keras.utils.set_random_seed(0)
        dense = keras.layers.Dense(8, "tanh", kernel_regularizer="l2")
        model = RegularizedModel(keras.Sequential([keras.Input([6]), dense, keras.layers.Dense(3)]), regularizer)
        model.compile(keras.optimizers.SGD(0.1), metrics=["accuracy"])
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(32, drop_remainder=True)
    model.fit(batches, epochs=2, verbose=0)
    return model.get_weights()  # type: ignore[no-any-return]


pairs: list[tuple[Any, Any]] = [(None, None), (LocalMinimum(8), LocalMinimum(4)), (SAM(2), SAM(1))]
for whole, share in pairs:
    one = fitted(tf.distribute.get_strategy(), whole)
    two = fitted(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]), share)
    print(max(float(np.abs(a - b).max()) for a, b in zip(one, two, strict=True)))
