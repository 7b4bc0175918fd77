"""Wide ResNet: Zagoruyko & Komodakis, 2016, arXiv:1605.07146, as the study of gamma used it.

l2 is on the 3x3 convolutions inside blocks and on scale and shift of the norms; none on stem, shortcuts and head.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

from infomcr_cli.models.layers import Norm, Style, blocks_of, pooled_logits

STEM_WIDTH = 16
GROUP_WIDTHS = (16, 32, 64)


def build(
    *,
    input_shape: tuple[int, int, int],
    num_classes: int,
    depth: int = 28,
    width: float = 2,
    widths: Sequence[int] | None = None,
    blocks_per_group: int | None = None,
    norm: Norm = "batch",
    activation: str = "relu",
    dropout: float = 0.0,
    l2: float = 5e-4,
) -> keras.Model:
    """Build a pre-activation Wide ResNet that returns logits.

    Args:
        input_shape:      height, width, channels.
        num_classes:      number of logits.
        depth:            6n+4 for n blocks in each group; ignored if `blocks_per_group` is given.
        width:            multiple of the groups 16, 32, 64; ignored if `widths` is given.
        widths:           channels of each group, of which the second and later halve the resolution.
        blocks_per_group: n.
        dropout:          between the two convolutions of a block.
        l2:               coefficient of the sum of squares of the blocks' 3x3 kernels and the norms' gamma and beta.
    """
    widths = tuple(widths) if widths else tuple(round(width * channels) for channels in GROUP_WIDTHS)
    blocks = blocks_per_group or blocks_of(depth, 4)
    style = Style(norm, activation, dropout, l2)
    # Without a norm the sum of the branches would grow with depth, so each starts with its share of the variance.
    gain = 2.0 / (blocks * len(widths)) if norm == "none" else 2.0
    image = keras.Input(input_shape, name="image")
    x = style.conv(image, STEM_WIDTH, "stem.conv")
    for group, channels in enumerate(widths, start=1):
        for block in range(1, blocks + 1):
            stride = 2 if group > 1 and block == 1 else 1
            x = _block(x, style, channels, stride, f"group{group}.block{block}", gain)
    x = style.normalise_and_activate(x, "head.norm", l2=l2)
    return keras.Model(image, pooled_logits(x, num_classes), name="wrn")


def _block(x: keras.KerasTensor, style: Style, channels: int, stride: int, name: str, gain: float) -> keras.KerasTensor:
    shortcut = x  # [h, w, c] → [h / stride, w / stride, channels], as the branch y
    if x.shape[-1] != channels or stride != 1:
        shortcut = style.conv(x, channels, f"{name}.shortcut_conv", size=1, stride=stride)
    y = style.normalise_and_activate(x, f"{name}.norm1", l2=style.l2)
    y = style.conv(y, channels, f"{name}.conv1", stride=stride, l2=style.l2)
    y = style.normalise_and_activate(y, f"{name}.norm2", l2=style.l2)
    y = style.drop(y, f"{name}.dropout")
    y = style.conv(y, channels, f"{name}.conv2", l2=style.l2, gain=gain)
    return layers.Add(name=f"{name}.add")([shortcut, y])
