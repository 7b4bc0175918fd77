"""Building blocks of the architectures: convolutions, norms, activations, dropout, logits and the l2 penalty.

| symbol | meaning |
| --- | --- |
| h, w, c | height, width and channels of the features of one image |
| l2 | coefficient of the sum of squared weights that is added to the loss |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import keras
from keras import layers

from infomcr_cli.errors import InputError

Norm = Literal["batch", "group", "layer", "none"]
PREFIXES: dict[Norm, str] = {"batch": "bn", "group": "gn", "layer": "ln"}
CHANNELS_PER_GROUP = 8
MOST_GROUPS = 32


@dataclass(frozen=True)
class Style:
    """The norm, activation, dropout and l2 of a whole network.

    Args:
        norm:       batch, group, layer or none; convolutions and hidden dense layers have a bias only with none.
        activation: the name of an activation of Keras.
        dropout:    share of features that are set to zero in training, 0..1; with 0 there is no dropout layer.
        l2:         for architectures that penalise only some of their weights.
    """

    norm: Norm = "batch"
    activation: str = "relu"
    dropout: float = 0.0
    l2: float = 0.0

    def conv(
        self,
        x: keras.KerasTensor,
        channels: int,
        name: str,
        *,
        size: int = 3,
        stride: int = 1,
        l2: float = 0.0,
        gain: float = 2.0,
    ) -> keras.KerasTensor:
        """Convolve images [h, w, c] to [h / stride, w / stride, channels], padded with zeros.

        Args:
            gain: the variance of an initial weight is gain / fan-in; 2 is that of He et al., 2015, arXiv:1502.01852.
        """
        return layers.Conv2D(
            channels,
            size,
            strides=stride,
            padding="same",
            use_bias=self.norm == "none",
            kernel_initializer=keras.initializers.VarianceScaling(gain, "fan_in", "truncated_normal"),
            kernel_regularizer=l2_penalty(l2),
            name=name,
        )(x)

    def dense(self, x: keras.KerasTensor, units: int, name: str) -> keras.KerasTensor:
        """Map features [..., c] to [..., units], with a bias only if there is no norm."""
        bias = self.norm == "none"
        return layers.Dense(units, use_bias=bias, kernel_initializer="he_normal", name=name)(x)

    def normalise(self, x: keras.KerasTensor, name: str, *, l2: float = 0.0) -> keras.KerasTensor:
        """Normalise by the style's norm; `norm` in the last part of the name becomes `bn`, `gn` or `ln`."""
        return normalise(x, self.norm, name, l2=l2)

    def normalise_and_activate(self, x: keras.KerasTensor, name: str, *, l2: float = 0.0) -> keras.KerasTensor:
        """Normalise, then activate."""
        return self.activate(self.normalise(x, name, l2=l2), name.replace("norm", self.activation))

    def activate(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        """Apply the activation."""
        return layers.Activation(self.activation, name=name)(x)

    def drop(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        """Apply dropout, if any."""
        return layers.Dropout(self.dropout, name=name)(x) if self.dropout else x


def pooled_logits(x: keras.KerasTensor, num_classes: int) -> keras.KerasTensor:
    """Average features over all positions and map them to logits [num_classes], with a bias."""
    x = layers.GlobalAveragePooling2D(name="head.pool")(x)  # [h, w, c] → [c]
    return logits_of(x, num_classes)


def logits_of(x: keras.KerasTensor, num_classes: int) -> keras.KerasTensor:
    """Map features [c] to logits [num_classes], with a bias."""
    return layers.Dense(num_classes, kernel_initializer="he_normal", name="head.dense")(x)


def penalise_kernels(model: keras.Model, l2: float) -> keras.Model:
    """Penalise with l2 the kernels of convolutions and dense layers, not biases and norms.

    Every architecture does so except `wrn`, which follows the study.
    """
    for variable in model.trainable_variables:
        # The name may also be depthwise_kernel or pointwise_kernel.
        if variable.path.rpartition("/")[2].endswith("kernel"):
            variable.regularizer = l2_penalty(l2)
    return model


def normalise(x: keras.KerasTensor, norm: Norm, name: str, *, l2: float = 0.0) -> keras.KerasTensor:
    """Normalise features [..., C] and scale and shift each channel; `none` returns them unchanged.

    `batch` has momentum 0.9 and ε 1e-5, as in the study. `layer` takes the mean and variance of one image over all
    positions and channels, `group` over all positions and a group of channels (Wu & He, 2018, arXiv:1803.08494).

    Args:
        name: a path in which `norm` becomes `bn`, `gn` or `ln`.
        l2:   coefficient of the sum of squares of scale and shift.
    """
    if norm == "none":
        return x
    penalties = {f"{weight}_regularizer": l2_penalty(l2) for weight in ("gamma", "beta")}
    name = name.replace("norm", PREFIXES[norm])
    if norm == "batch":
        return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name, **penalties)(x)
    groups = 1 if norm == "layer" else group_count(x.shape[-1])
    return layers.GroupNormalization(groups, epsilon=1e-5, name=name, **penalties)(x)


def group_count(channels: int) -> int:
    """Return the number of equal groups for group norm: of at least 8 channels each, at most 32.

    Examples:
        >>> from infomcr_cli.models.layers import group_count
        >>> [group_count(channels) for channels in (16, 64, 512)]
        [2, 8, 32]
    """
    most = max(1, min(MOST_GROUPS, channels // CHANNELS_PER_GROUP))
    return max(groups for groups in range(1, most + 1) if channels % groups == 0)


def l2_penalty(l2: float) -> keras.Regularizer | None:
    """Return the penalty l2·Σw², or None if it would be zero."""
    return keras.regularizers.L2(l2) if l2 else None


def blocks_of(depth: int, others: int) -> int:
    """Return n of a depth 6n + `others`: three groups of n blocks of two layers each.

    Raises:
        InputError: the depth is not of this form.
    """
    blocks, rest = divmod(depth - others, 6)
    if rest or blocks < 1:
        raise InputError(f"depth must be 6n+{others}, at least {6 + others}", received=depth)
    return blocks
