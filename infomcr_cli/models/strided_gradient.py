"""Correct kernel gradients of convolutions with a 1×1 window and strides other than 1.

TensorFlow 2.21 computes with oneDNN 3.x, which gathers the pixels of such a convolution in a workspace. The workspace
is too small if the images have fewer channels than a vector holds (16 with AVX-512, 8 with AVX2), and oneDNN writes
past its end if a thread begins in the middle of an image: https://github.com/uxlfoundation/oneDNN/issues/6035. The
process crashes, or continues with wrong numbers.

The pixels can be gathered first: y = conv(x[:, ::s, ::s], w) at stride 1 is the same convolution, and its gradient by w
is the same. Importing this module replaces the gradient of TensorFlow's operations themselves. So it holds for every
tape of the process, whichever layer or function made the operation, and for derivatives of any order; nothing else of
these operations changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from infomcr_cli.models.keras_internals import Gradient, replace_gradient

FAMILIES = ("Conv2D", "DepthwiseConv2dNative")  # Conv1D is a Conv2D; Conv3D has another kernel, which is right
ATTRIBUTES = ("strides", "padding", "explicit_paddings", "data_format", "dilations")


def _convolution(family: str, original: Gradient) -> Gradient:
    """Return the gradient of y = conv(images, kernel) by images and kernel."""

    def gradient(op: Any, by_output: tf.Tensor) -> Any:
        images, kernel = op.inputs
        if not _skips_pixels(op, kernel):
            return original(op, by_output)
        by_images = getattr(tf.raw_ops, f"{family}BackpropInput")(
            input_sizes=tf.shape(images), filter=kernel, out_backprop=by_output, **_attributes(op)
        )
        return [by_images, _by_kernel(family, op, images, kernel, by_output)]

    return gradient


def _transposed_convolution(family: str, original: Gradient) -> Gradient:
    """Return the gradient of y = convᵀ(sizes, kernel, x): of a Conv2DTranspose, and of a gradient by images."""

    def gradient(op: Any, by_output: tf.Tensor) -> Any:
        _, kernel, x = op.inputs
        if not _skips_pixels(op, kernel):
            return original(op, by_output)
        by_x = getattr(tf.raw_ops, family)(input=by_output, filter=kernel, **_attributes(op))
        return [None, _by_kernel(family, op, by_output, kernel, x), by_x]

    return gradient


def _by_kernel(family: str, op: Any, images: tf.Tensor, kernel: tf.Tensor, by_output: tf.Tensor) -> tf.Tensor:
    """Return the gradient by the kernel [1, 1, c, …] of the same convolution of every s-th pixel, at stride 1."""
    attributes = _attributes(op)
    if attributes["padding"] == b"EXPLICIT":  # SAME pads nothing if the window is one pixel
        images = tf.pad(images, np.reshape(attributes["explicit_paddings"], (4, 2)))  # before and after, on 4 axes
    backward = getattr(tf.raw_ops, f"{family}BackpropFilter")
    return backward(
        input=_every(images, attributes["strides"]),
        filter_sizes=tf.shape(kernel),
        out_backprop=by_output,
        strides=[1, 1, 1, 1],
        padding="VALID",
        data_format=attributes.get("data_format", "NHWC"),
    )


def _every(images: tf.Tensor, strides: Sequence[int]) -> tf.Tensor:
    """Return images[::1, ::s, ::t, ::u] for strides 1, s, t, u.

    A slice with strides copies number by number. If all sizes are known, u is 1, and s and t divide their sides, the
    same numbers are contiguous in another shape, which is copied many times as fast.
    """
    _, s, t, last = strides
    _, height, width, depth = images.shape
    if last != 1 or not height or not width or not depth or height % s or width % t:
        return images[tuple(slice(None, None, stride) for stride in strides)]
    # [b·h/s, s, w/t, t·d]: the pixels that are used come first in the second and in the fourth dimension.
    parts = tf.reshape(images, [-1, s, width // t, t * depth])
    used = tf.slice(parts, [0, 0, 0, 0], [-1, 1, -1, depth])  # [b·h/s, 1, w/t, d]
    return tf.reshape(used, [-1, height // s, width // t, depth])  # [b, h/s, w/t, d]


def _skips_pixels(op: Any, kernel: tf.Tensor) -> bool:
    """Return whether the window is one pixel and a stride is not 1; the strides of batch and channels always are 1."""
    return kernel.shape.rank == 4 and tuple(kernel.shape[:2]) == (1, 1) and max(op.get_attr("strides")) > 1


def _attributes(op: Any) -> dict[str, Any]:
    """Return the attributes that were given; an eager operation has None for an attribute that was left out."""
    given = {name: op.get_attr(name) for name in ATTRIBUTES}
    return {name: value for name, value in given.items() if value is not None}


for _family in FAMILIES:
    replace_gradient(_family, partial(_convolution, _family))
    replace_gradient(f"{_family}BackpropInput", partial(_transposed_convolution, _family))
