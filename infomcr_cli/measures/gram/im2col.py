"""Per-sample gradients of a convolution's kernel as products of small matrices.

Row offsets of the kernel are laid out beside the cotangent and column offsets beside the input, so that one product
[size·channels, positions]·[positions, size·filters] a sample covers all offsets: 3 + 3 copies for a 3x3 kernel instead
of the 9 of im2col, and a nearly square product. It needs stride 1; other strides take im2col.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
CACHE = 1 << 20  # bytes of laid-out samples that are multiplied at a time, before they leave the cache


@dataclass(frozen=True)
class Window:
    """Geometry of a two-dimensional convolution on [n, height, width, channels].

    Args:
        size, strides, dilation: rows and columns.
        before:                  padding above and left of the image.
        groups:                  of channels and of filters.
    """

    size: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    before: tuple[int, int] = (0, 0)
    groups: int = 1

    @property
    def is_separable(self) -> bool:
        """Whether rows and columns of the window can be taken one after the other."""
        return self.strides == (1, 1) and self.size[0] > 1 and self.size[1] > 1

    @property
    def order(self) -> tuple[int, ...]:
        """Axes of a kernel [rows, columns, channels, groups, filters of a group] in the order of the gradients."""
        # A separable product has [columns · channels, rows · filters], im2col [rows · columns · channels, filters].
        return (3, 1, 2, 0, 4) if self.is_separable else (3, 0, 1, 2, 4)

    def arranged(self, kernel: Array) -> Array:
        """Return a kernel [rows, columns, channels, filters] in the order of `convolution_rows`, [weights]."""
        rows, columns, channels, filters = kernel.shape
        # The channels of a kernel are those of one group; its filters are those of all.
        split = kernel.reshape(rows, columns, channels, self.groups, filters // self.groups)
        return split.transpose(self.order).reshape(-1)


def convolution_rows(images: Array, cotangent: Array, window: Window) -> Array:
    """Return per-sample kernel gradients, [n, weights], in the order of `Window.arranged`."""
    lay_out = _separable if window.is_separable else _im2col
    count, groups = len(images), window.groups
    channels, filters = images.shape[3] // groups, cotangent.shape[3] // groups
    rows = np.empty((count, groups, window.size[0] * window.size[1] * channels * filters), images.dtype)
    for start in range(0, count, step := _samples_at_a_time(images, cotangent, window)):
        part = slice(start, start + step)
        for g in range(groups):
            x, d = images[part, ..., g * channels :][..., :channels], cotangent[part, ..., g * filters :][..., :filters]
            left, right = lay_out(x, d, window)  # [step, positions, a] and [step, positions, b]
            # One product [a, b] a sample, flat: the weights of one group.
            rows[part, g] = np.matmul(left.transpose(0, 2, 1), right).reshape(len(x), -1)
    return rows.reshape(count, -1)


def _separable(images: Array, cotangent: Array, window: Window) -> tuple[Array, Array]:
    """Return [n, rows·columns, size·channels] and [n, rows·columns, size·filters], rows being those of the image.

    Rows that only pad the image add nothing and are left out.
    """
    n, height, width, channels = images.shape
    _, out_height, out_width, filters = cotangent.shape
    (tall, wide), (down, across), (top, before) = window.size, window.dilation, window.before
    used = min(height, out_height + (tall - 1) * down - top)
    # Column j of the window: the input shifted by j. What it reads from the padding stays 0.
    left = np.zeros((n, used, out_width, wide, channels), images.dtype)
    for j in range(wide):
        first, source, length = overlap(j * across - before, width, out_width)
        left[:, :, first : first + length, j] = images[:, :used, source : source + length]
    # Row i of the window: at each row of the image, the cotangent of the output whose row i of the window lies there.
    right = np.zeros((n, used, out_width, tall, filters), cotangent.dtype)
    for i in range(tall):
        first, source, length = overlap(top - i * down, out_height, used)
        right[:, first : first + length, :, i] = cotangent[:, source : source + length]
    return left.reshape(n, -1, wide * channels), right.reshape(n, -1, tall * filters)


def _im2col(images: Array, cotangent: Array, window: Window) -> tuple[Array, Array]:
    """Return [n, positions, rows·columns·channels] and [n, positions, filters]."""
    n, height, width, channels = images.shape
    _, out_height, out_width, filters = cotangent.shape
    (tall, wide), (down, across), (step_y, step_x) = window.size, window.dilation, window.strides
    if window.size == (1, 1) and window.strides == (1, 1):
        return images.reshape(n, -1, channels), cotangent.reshape(n, -1, filters)
    # From the first row of the first window to the last row of the last one; likewise columns.
    needed = ((out_height - 1) * step_y + (tall - 1) * down + 1, (out_width - 1) * step_x + (wide - 1) * across + 1)
    shape = n, max(needed[0], height + window.before[0]), max(needed[1], width + window.before[1]), channels
    padded = np.zeros(shape, images.dtype)
    padded[:, window.before[0] :, window.before[1] :][:, :height, :width] = images
    left = np.empty((n, out_height, out_width, tall, wide, channels), images.dtype)
    for i in range(tall):
        for j in range(wide):
            left[:, :, :, i, j] = padded[:, i * down :: step_y, j * across :: step_x][:, :out_height, :out_width]
    return left.reshape(n, out_height * out_width, -1), cotangent.reshape(n, -1, filters)


def overlap(shift: int, length: int, out: int) -> tuple[int, int, int]:
    """Return the first output and source positions, and the number of positions p with 0 <= p + shift < length."""
    first = min(max(0, -shift), out)
    last = min(out, length - shift)
    return first, max(0, first + shift), max(0, last - first)


def _samples_at_a_time(images: Array, cotangent: Array, window: Window) -> int:
    (tall, wide), positions = window.size, cotangent.shape[1] * cotangent.shape[2]
    copies = wide * images.shape[3] + tall * cotangent.shape[3]
    if not window.is_separable:
        copies = tall * wide * images.shape[3]
    return max(1, CACHE // max(1, positions * copies * images.itemsize))
