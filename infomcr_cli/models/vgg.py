"""VGG: Simonyan & Zisserman, 2015, arXiv:1409.1556, with a norm and a small head, as is usual for small images.

l2 penalises every kernel: see `layers.penalise_kernels`.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

from infomcr_cli.models.layers import Norm, Style, logits_of, penalise_kernels

STAGE_WIDTHS = (64, 128, 256, 512, 512)
CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


def build(
    *,
    input_shape: tuple[int, int, int],
    num_classes: int,
    depth: int = 16,
    width: float = 1,
    head_units: Sequence[int] = (),
    norm: Norm = "batch",
    activation: str = "relu",
    dropout: float = 0.0,
    l2: float = 2.5e-4,  # of Σw²: a weight decay of 5e-4
) -> keras.Model:
    """Build a VGG that returns logits. Images smaller than 32 pixels are halved until one pixel is left.

    Args:
        depth:      11, 13, 16 or 19.
        width:      multiple of the channels 64, 128, 256, 512, 512.
        head_units: hidden dense layers of the head; the source has (4096, 4096) on 224x224 images.
        dropout:    before each dense layer of the head; 0.5 in the source.
    """
    style = Style(norm, activation, dropout)
    image = keras.Input(input_shape, name="image")
    x = image
    for stage, (channels, convolutions) in enumerate(zip(STAGE_WIDTHS, CONVOLUTIONS[depth], strict=True), start=1):
        for conv in range(1, convolutions + 1):
            x = style.conv(x, round(width * channels), f"stage{stage}.conv{conv}")
            x = style.normalise_and_activate(x, f"stage{stage}.norm{conv}")
        # Padded, so that an image of one pixel stays one: [h, w, c] → [⌈h / 2⌉, ⌈w / 2⌉, c].
        x = layers.MaxPooling2D(2, padding="same", name=f"stage{stage}.pool")(x)
    x = layers.Flatten(name="head.flatten")(x)  # [h · w · c]
    for place, units in enumerate(head_units, start=1):
        x = style.dense(style.drop(x, f"head.dropout{place}"), units, f"head.dense{place}")  # [units]
        x = style.normalise_and_activate(x, f"head.norm{place}")
    x = style.drop(x, "head.dropout")
    return penalise_kernels(keras.Model(image, logits_of(x, num_classes), name="vgg"), l2)
