"""Multilayer perceptron: Zhang et al., 2017, arXiv:1611.03530, whose deepest has 3 hidden layers of 512.

l2 penalises every kernel: see `layers.penalise_kernels`.
"""

from __future__ import annotations

import keras
from keras import layers

from infomcr_cli.models.layers import Norm, Style, logits_of, penalise_kernels


def build(
    *,
    input_shape: tuple[int, int, int],
    num_classes: int,
    depth: int = 3,
    width: int = 512,
    norm: Norm = "none",
    activation: str = "relu",
    dropout: float = 0.0,
    l2: float = 0.0,
) -> keras.Model:
    """Build a multilayer perceptron that returns logits.

    Args:
        depth:   number of hidden layers; 0 is multinomial logistic regression.
        width:   units of each.
        dropout: after each.
    """
    style = Style(norm, activation, dropout)
    image = keras.Input(input_shape, name="image")
    x = layers.Flatten(name="flatten")(image)  # [h, w, c] → [h · w · c]
    for place in range(1, depth + 1):
        x = style.dense(x, width, f"hidden{place}.dense")  # [width]
        x = style.normalise_and_activate(x, f"hidden{place}.norm")
        x = style.drop(x, f"hidden{place}.dropout")
    return penalise_kernels(keras.Model(image, logits_of(x, num_classes), name="mlp"), l2)
