"""Network in network, as in studies of generalization measures: blocks of a 3x3 convolution and two of 1x1.

Sources: Lin et al., 2014, arXiv:1312.4400; Jiang et al., 2020, arXiv:1912.02178; Dziugaite et al., 2020,
arXiv:2010.11924, whose published network is the default: base width 25, a norm and an activation on the maps of the
classes before they are averaged. l2 penalises every kernel: see `layers.penalise_kernels`; the studies have none.
"""

from __future__ import annotations

import keras
from keras import layers

from infomcr_cli.models.layers import Norm, Style, penalise_kernels


def build(
    *,
    input_shape: tuple[int, int, int],
    num_classes: int,
    depth: int = 2,
    width: int = 8,
    base_width: int = 25,
    norm: Norm = "batch",
    activation: str = "relu",
    dropout: float = 0.0,
    l2: float = 0.0,
) -> keras.Model:
    """Build a network in network that returns logits, each the average of one feature map.

    Args:
        depth:      number of blocks, each of which halves the resolution.
        width:      a block has base_width · width channels.
        base_width: 25 in Dziugaite et al., 96 in Jiang et al.
        dropout:    at the end of each block, one of the axes of Jiang et al.
    """
    style = Style(norm, activation, dropout)
    image = keras.Input(input_shape, name="image")
    x = image
    for block in range(1, depth + 1):
        for place, (size, stride) in enumerate(((3, 2), (1, 1), (1, 1)), start=1):
            x = style.conv(x, base_width * width, f"block{block}.conv{place}", size=size, stride=stride)
            x = style.normalise_and_activate(x, f"block{block}.norm{place}")
        x = style.drop(x, f"block{block}.dropout")  # [h, w, c] → [h / 2, w / 2, base_width · width]
    x = style.conv(x, num_classes, "head.conv", size=1)  # [h, w, num_classes]
    x = style.normalise_and_activate(x, "head.norm")
    logits = layers.GlobalAveragePooling2D(name="head.pool")(x)  # [num_classes]
    return penalise_kernels(keras.Model(image, logits, name="nin"), l2)
