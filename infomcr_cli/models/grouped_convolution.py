"""Compile convolutions that need XLA on a CPU once for each geometry.

TensorFlow has no CPU kernel for grouped convolutions, nor for three-dimensional ones with channels first. Outside of a
graph Keras compiles such a convolution in every call, which takes a fifth of a second and makes TensorFlow warn.
Importing this module lets such calls share what is compiled. Inside a graph nothing changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import keras
import tensorflow as tf

from infomcr_cli.models.keras_internals import Convolution, replace_convolution
from infomcr_cli.models.traced import Traced

Numbers = int | Sequence[int]


def _compiled_once(convolution: Convolution) -> Convolution:
    @lru_cache(maxsize=256)  # shapes and settings are the key, so that they must be hashable
    def compiled(image: Any, window: Any, *settings: Any) -> Traced:
        return Traced(lambda inputs, kernel: convolution(inputs, kernel, *settings))

    def convolve(
        inputs: Any,
        kernel: Any,
        strides: Numbers = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Numbers = 1,
    ) -> Any:
        layout = data_format or keras.config.image_data_format()
        if not tf.executing_eagerly() or not _needs_xla(inputs.shape, kernel.shape, layout):
            return convolution(inputs, kernel, strides, padding, data_format, dilation_rate)
        settings = _hashable(strides), padding, layout, _hashable(dilation_rate)
        return compiled(tuple(inputs.shape), tuple(kernel.shape), *settings)(inputs, kernel)

    return convolve


def _needs_xla(images: Any, kernel: Any, layout: str) -> bool:
    channels_first = layout == "channels_first"
    # A kernel is [window…, channels of a group, filters]: with groups, the images have more channels than that.
    return (channels_first and len(images) == 5) or images[1 if channels_first else -1] != kernel[-2]


def _hashable(numbers: Numbers) -> Any:
    return numbers if isinstance(numbers, int) else tuple(numbers)


replace_convolution(_compiled_once)
