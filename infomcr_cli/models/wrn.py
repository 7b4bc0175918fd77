"""Wide ResNet: Zagoruyko & Komodakis, 2016, arXiv:1605.07146, as the study of gamma used it."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

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
    l2: float = 5e-4,
) -> keras.Model:
    """Build a pre-activation Wide ResNet that gives logits.

    Args:
        input_shape:      height, width, channels.
        num_classes:      number of logits.
        depth:            6n+4 for n blocks in each group; ignored where `blocks_per_group` is given.
        width:            multiple of the groups 16, 32, 64; ignored where `widths` is given.
        widths:           channels of each group, of which the second and later halve the resolution.
        blocks_per_group: n.
        l2:               coefficient of the sum of squares of the blocks' 3x3 kernels and batch norm's gamma and beta.
    """
    widths = tuple(widths) if widths else tuple(round(width * channels) for channels in GROUP_WIDTHS)
    blocks = blocks_per_group or (depth - 4) // 6
    image = keras.Input(input_shape, name="image")
    x = _conv(image, STEM_WIDTH, "stem.conv")
    for group, channels in enumerate(widths, start=1):
        for block in range(1, blocks + 1):
            stride = 2 if group > 1 and block == 1 else 1
            x = _block(x, channels, stride, f"group{group}.block{block}", l2)
    x = _norm_relu(x, "head.bn", l2)
    x = layers.GlobalAveragePooling2D(name="head.pool")(x)
    logits = layers.Dense(num_classes, kernel_initializer="he_normal", name="head.dense")(x)
    return keras.Model(image, logits, name="wrn")


def _block(x: keras.KerasTensor, channels: int, stride: int, name: str, l2: float) -> keras.KerasTensor:
    shortcut = x
    if x.shape[-1] != channels or stride != 1:
        shortcut = _conv(x, channels, f"{name}.shortcut_conv", size=1, stride=stride)
    y = _norm_relu(x, f"{name}.bn1", l2)
    y = _conv(y, channels, f"{name}.conv1", stride=stride, l2=l2)
    y = _norm_relu(y, f"{name}.bn2", l2)
    y = _conv(y, channels, f"{name}.conv2", l2=l2)
    return layers.Add(name=f"{name}.add")([shortcut, y])


def _conv(
    x: keras.KerasTensor, channels: int, name: str, *, size: int = 3, stride: int = 1, l2: float = 0.0
) -> keras.KerasTensor:
    return layers.Conv2D(
        channels,
        size,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        kernel_regularizer=_penalty(l2),
        name=name,
    )(x)


def _norm_relu(x: keras.KerasTensor, name: str, l2: float) -> keras.KerasTensor:
    x = layers.BatchNormalization(
        momentum=0.9, epsilon=1e-5, gamma_regularizer=_penalty(l2), beta_regularizer=_penalty(l2), name=name
    )(x)
    return layers.ReLU(name=name.replace("bn", "relu"))(x)


def _penalty(l2: float) -> keras.Regularizer | None:
    return keras.regularizers.L2(l2) if l2 else None
