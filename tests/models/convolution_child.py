"""Convolve in a separate process, which may crash, and print how far values and derivatives are from the truth.

The truth is float64, which oneDNN has no kernels for; of windows of one pixel it is a product of matrices by NumPy.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
import tensorflow as tf

from infomcr_cli.models import strided_gradient  # noqa: F401 -- what is tested

Convolution = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
IMAGES, SIDES = (1, 2, 3, 5), ((16, 16), (9, 12), (32, 32), (33, 31))
CHANNELS, STRIDES = (1, 3, 4, 7, 8, 12, 15, 16), ((2, 2), (2, 1), (1, 3), (1, 1))


def normal(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).standard_normal(shape)


def derivatives(convolution: Convolution, x: Any, w: Any, dtype: str) -> list[Any]:
    """Return the output, and the gradients by images and kernel along a fixed direction of the output."""
    x, w = tf.constant(x, dtype), tf.constant(w, dtype)
    with tf.GradientTape() as tape:
        tape.watch([x, w])
        y = convolution(x, w)
    along = tf.constant(normal(*y.shape), dtype)
    return [np.asarray(tf.cast(a, tf.float64)) for a in (y, *tape.gradient(y, [x, w], along))]


def by_products(x: Any, w: Any, strides: tuple[int, int]) -> list[Any]:
    """The same of a convolution by one pixel: every s-th pixel times a matrix."""
    pixels = np.s_[:, :: strides[0], :: strides[1]]
    y = x[pixels] @ w[0, 0]
    along, by_images = normal(*y.shape), np.zeros_like(x)
    by_images[pixels] = along @ w[0, 0].T
    return [y, by_images, np.einsum("nhwc,nhwf->cf", x[pixels], along)[None, None]]


def farthest(found: list[Any], truth: list[Any]) -> float:
    """Return the largest difference, in units of each array's largest entry."""
    return max(float(np.max(np.abs(f - t)) / np.max(np.abs(t))) for f, t in zip(found, truth, strict=True))


def of_one_pixel() -> Iterator[float]:
    """Windows of one pixel, of which TensorFlow pads neither with SAME nor with VALID."""
    for n, side, channels, strides in product(IMAGES, SIDES, CHANNELS, STRIDES):
        x, w = normal(n, *side, channels), normal(1, 1, channels, 4)
        padding = ("SAME", "VALID")[channels % 2]
        found = derivatives(lambda x, w, s=strides, p=padding: tf.nn.conv2d(x, w, s, p), x, w, "float32")
        yield farthest(found, by_products(x, w, strides))


def against_float64(convolution: Convolution, image: tuple[int, ...], *kernel: int) -> float:
    found = []
    for n in (1, 3, 4):
        x, w = normal(n, *image), normal(*kernel)
        found.append(farthest(derivatives(convolution, x, w, "float32"), derivatives(convolution, x, w, "float64")))
    return max(found)


def others() -> dict[str, float]:
    """Larger windows, and operations that become a convolution."""
    found = {}
    for size, stride in product(((1, 3), (2, 2), (3, 3)), (1, 2)):
        found[f"window {size} stride {stride}"] = max(
            against_float64(lambda x, w, s=stride: tf.nn.conv2d(x, w, s, "SAME"), (32, 32, c), *size, c, 4)
            for c in (1, 3, 12)
        )
    pads = [[0, 0], [1, 1], [2, 0], [0, 0]]
    return found | {
        "padded by hand": against_float64(lambda x, w: tf.nn.conv2d(x, w, 2, pads), (32, 32, 3), 1, 1, 3, 4),
        "one dimension": against_float64(lambda x, w: tf.nn.conv1d(x, w, 2, "SAME"), (256, 3), 1, 3, 4),
        "three dimensions": against_float64(
            lambda x, w: tf.nn.conv3d(x, w, [1, 2, 2, 2, 1], "SAME", "NDHWC"), (8, 8, 8, 3), 1, 1, 1, 3, 4
        ),
        "depthwise": against_float64(
            lambda x, w: tf.nn.depthwise_conv2d(x, w, [1, 2, 2, 1], "SAME"), (32, 32, 1), 1, 1, 1, 2
        ),
        "transposed": against_float64(
            lambda x, w: tf.nn.conv2d_transpose(x, w, [x.shape[0], 32, 32, 3], 2, "SAME"), (16, 16, 4), 1, 1, 3, 4
        ),
    }


def hessian_product(dtype: str) -> Any:
    """Return H v of a sum of sines of a convolution by one pixel, by images and by kernel."""
    x, w = (tf.constant(a, dtype) for a in (normal(3, 32, 32, 3), normal(1, 1, 3, 4)))
    v, u = tf.constant(normal(1, 1, 3, 4) + 1, dtype), tf.constant(normal(3, 32, 32, 3) + 1, dtype)
    with tf.GradientTape() as outer:
        outer.watch([x, w])
        with tf.GradientTape() as inner:
            inner.watch([x, w])
            y = tf.reduce_sum(tf.sin(tf.nn.conv2d(x, w, 2, "SAME")))
        by_x, by_w = inner.gradient(y, [x, w])
        along = tf.reduce_sum(by_w * v) + tf.reduce_sum(by_x * u)
    return [np.asarray(a, np.float64) for a in outer.gradient(along, [x, w])]


def jacobian(dtype: str) -> Any:
    """Return the gradient of each image's output by the kernel, vectorised over images."""
    x, w = (tf.constant(a, dtype) for a in (normal(3, 32, 32, 3), normal(1, 1, 3, 4)))
    with tf.GradientTape() as tape:
        tape.watch(w)
        y = tf.reduce_sum(tf.sin(tf.nn.conv2d(x, w, 2, "SAME")), [1, 2, 3])
    return [np.asarray(tape.jacobian(y, w), np.float64)]


def in_bfloat16() -> float:
    x, w = normal(3, 32, 32, 3), normal(1, 1, 3, 4)
    found = derivatives(lambda x, w: tf.nn.conv2d(x, w, 2, "SAME"), x, w, "bfloat16")
    return farthest(found, by_products(x, w, (2, 2)))


if __name__ == "__main__":
    tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[1]))
    print(
        json.dumps(
            {
                "window of one pixel": max(of_one_pixel()),
                **others(),
                "second derivative": farthest(hessian_product("float32"), hessian_product("float64")),
                "jacobian": farthest(jacobian("float32"), jacobian("float64")),
                # Held to AVX2 on a processor that has more, oneDNN refuses what TensorFlow then asks of it.
                "bfloat16": 0.0 if "ONEDNN_MAX_CPU_ISA" in os.environ else in_bfloat16(),
            }
        )
    )
