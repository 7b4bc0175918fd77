"""A network as a user would write it: layers without names, and a setting."""

from __future__ import annotations

import keras


def perceptron(*, input_shape: tuple[int, int, int], num_classes: int, l2: float, width: int = 8) -> keras.Model:
    """One hidden layer."""
    image = keras.Input(input_shape)
    hidden = keras.layers.Dense(width, "relu", kernel_regularizer=keras.regularizers.L2(l2))
    return keras.Model(image, keras.layers.Dense(num_classes)(hidden(keras.layers.Flatten()(image))))
