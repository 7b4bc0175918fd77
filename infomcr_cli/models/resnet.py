"""ResNet for small images: He et al., 2016, arXiv:1512.03385, section 4.2, with shortcuts that own no weights (A).

l2 penalises every kernel: see `layers.penalise_kernels`.
"""

from __future__ import annotations

import keras
from keras import layers

from infomcr_cli.models.layers import Norm, Style, blocks_of, penalise_kernels, pooled_logits

GROUP_WIDTHS = (16, 32, 64)


def build(
    *,
    input_shape: tuple[int, int, int],
    num_classes: int,
    depth: int = 20,
    width: float = 1,
    norm: Norm = "batch",
    activation: str = "relu",
    dropout: float = 0.0,
    l2: float = 5e-5,  # of Σw²: a weight decay of 1e-4
) -> keras.Model:
    """Build a ResNet that returns logits.

    Args:
        depth:   6n+2 for n blocks in each of three groups; published are 20, 32, 56 and 110.
        width:   multiple of the channels 16, 32, 64.
        dropout: between the two convolutions of a block; 0 in the source.
    """
    blocks = blocks_of(depth, 2)
    style = Style(norm, activation, dropout)
    # Without a norm the sum of the branches would grow with depth, so each starts with its share of the variance.
    gain = 2.0 / (blocks * len(GROUP_WIDTHS)) if norm == "none" else 2.0
    widths = [round(width * channels) for channels in GROUP_WIDTHS]
    image = keras.Input(input_shape, name="image")
    x = style.conv(image, widths[0], "stem.conv")
    x = style.normalise_and_activate(x, "stem.norm")
    for group, channels in enumerate(widths, start=1):
        for block in range(1, blocks + 1):
            stride = 2 if group > 1 and block == 1 else 1
            x = _block(x, style, channels, stride, f"group{group}.block{block}", gain)
    return penalise_kernels(keras.Model(image, pooled_logits(x, num_classes), name="resnet"), l2)


def _block(x: keras.KerasTensor, style: Style, channels: int, stride: int, name: str, gain: float) -> keras.KerasTensor:
    y = style.conv(x, channels, f"{name}.conv1", stride=stride)  # [h, w, c] → [h / stride, w / stride, channels]
    y = style.normalise_and_activate(y, f"{name}.norm1")
    y = style.drop(y, f"{name}.dropout")
    y = style.conv(y, channels, f"{name}.conv2", gain=gain)
    y = style.normalise(y, f"{name}.norm2")
    y = layers.Add(name=f"{name}.add")([_shortcut(x, channels, stride, name), y])
    return style.activate(y, f"{name}.{style.activation}2")


def _shortcut(x: keras.KerasTensor, channels: int, stride: int, name: str) -> keras.KerasTensor:
    """Take every stride-th pixel and fill the new channels with zeros, without weights."""
    if stride > 1:  # the maximum over a window of one pixel is this pixel
        x = layers.MaxPooling2D(1, strides=stride, padding="same", name=f"{name}.shortcut_pool")(x)
    new = channels - x.shape[-1]
    # [h / stride, w / stride, channels]: half of the new channels come before the others, half after.
    return keras.ops.pad(x, ((0, 0), (0, 0), (0, 0), (new // 2, new - new // 2))) if new else x
