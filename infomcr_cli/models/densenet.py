"""DenseNet with bottlenecks and compression (BC) for small images: Huang et al., 2017, arXiv:1608.06993.

l2 penalises every kernel: see `layers.penalise_kernels`.
"""

from __future__ import annotations

import keras
from keras import layers

from infomcr_cli.models.layers import Norm, Style, blocks_of, penalise_kernels, pooled_logits

BLOCKS = 3


def build(
    *,
    input_shape: tuple[int, int, int],
    num_classes: int,
    depth: int = 100,
    growth_rate: int = 12,
    compression: float = 0.5,
    norm: Norm = "batch",
    activation: str = "relu",
    dropout: float = 0.0,
    l2: float = 5e-5,  # of Σw²: a weight decay of 1e-4
) -> keras.Model:
    """Build a DenseNet-BC that returns logits.

    Args:
        depth:       6n+4 for n layers of two convolutions in each of three blocks.
        growth_rate: k, channels that each layer adds; the stem has 2k.
        compression: share of the channels that a transition keeps, above 0, at most 1.
        dropout:     after every convolution except the stem; 0.2 in the source if images are not augmented.
    """
    style = Style(norm, activation, dropout)
    image = keras.Input(input_shape, name="image")
    x = style.conv(image, 2 * growth_rate, "stem.conv")  # [h, w, 2k]
    for block in range(1, BLOCKS + 1):
        for layer in range(1, blocks_of(depth, 4) + 1):
            x = _layer(x, style, growth_rate, f"block{block}.layer{layer}")
        if block < BLOCKS:
            x = _transition(x, style, max(1, int(x.shape[-1] * compression)), f"transition{block}")
    x = style.normalise_and_activate(x, "head.norm")
    return penalise_kernels(keras.Model(image, pooled_logits(x, num_classes), name="densenet"), l2)


def _layer(x: keras.KerasTensor, style: Style, growth_rate: int, name: str) -> keras.KerasTensor:
    y = style.normalise_and_activate(x, f"{name}.norm1")  # [h, w, c]
    y = style.drop(style.conv(y, 4 * growth_rate, f"{name}.conv1", size=1), f"{name}.dropout1")  # [h, w, 4k]
    y = style.normalise_and_activate(y, f"{name}.norm2")
    y = style.drop(style.conv(y, growth_rate, f"{name}.conv2"), f"{name}.dropout2")  # [h, w, k]
    return layers.Concatenate(name=f"{name}.concat")([x, y])  # [h, w, c + k]


def _transition(x: keras.KerasTensor, style: Style, channels: int, name: str) -> keras.KerasTensor:
    x = style.normalise_and_activate(x, f"{name}.norm")
    x = style.drop(style.conv(x, channels, f"{name}.conv", size=1), f"{name}.dropout")  # [h, w, channels]
    return layers.AveragePooling2D(2, padding="same", name=f"{name}.pool")(x)  # [h / 2, w / 2, channels]
