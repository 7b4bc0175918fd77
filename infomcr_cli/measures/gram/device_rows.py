"""Per-sample gradients of a convolution's kernel by TensorFlow: the layout of `im2col`, copy for copy."""

from __future__ import annotations

import tensorflow as tf

from infomcr_cli.measures.gram.im2col import Window, overlap


def convolution_rows(images: tf.Tensor, cotangent: tf.Tensor, window: Window) -> tf.Tensor:
    """Return per-sample kernel gradients, [n, weights], in the order of `Window.arranged`.

    Args:
        images:    the layer's input, [n, height, width, channels].
        cotangent: of its output, [n, height, width, filters].
    """
    lay_out = _separable if window.is_separable else _im2col
    # [n, groups, positions, a] and [n, groups, positions, b]: one product [a, b] for each sample and group.
    left, right = (_by_group(x, window.groups) for x in lay_out(images, cotangent, window))
    return tf.reshape(tf.matmul(left, right, transpose_a=True), [images.shape[0], -1])


def arranged(kernel: tf.Tensor, window: Window) -> tf.Tensor:
    """Return a kernel [rows, columns, channels, filters] in the order of the rows, [weights]."""
    rows, columns, channels, filters = kernel.shape
    # The channels of a kernel are those of one group; its filters are those of all.
    split = tf.reshape(kernel, [rows, columns, channels, window.groups, filters // window.groups])
    return tf.reshape(tf.transpose(split, window.order), [-1])


def _separable(images: tf.Tensor, cotangent: tf.Tensor, window: Window) -> tuple[tf.Tensor, tf.Tensor]:
    """Return [n, rows, columns, width of the window, channels] and [n, rows, columns, its height, filters].

    Rows are those of the image; see `im2col`.
    """
    _, height, width, _ = images.shape
    _, out_height, out_width, _ = cotangent.shape
    (tall, wide), (down, across), (top, before) = window.size, window.dilation, window.before
    used = min(height, out_height + (tall - 1) * down - top)
    columns, rows = [], []
    for j in range(wide):
        first, source, length = overlap(j * across - before, width, out_width)
        part = images[:, :used, source : source + length]
        # [n, used, out_width, channels]
        columns.append(tf.pad(part, [[0, 0], [0, 0], [first, out_width - first - length], [0, 0]]))
    for i in range(tall):
        first, source, length = overlap(top - i * down, out_height, used)
        part = cotangent[:, source : source + length]
        # [n, used, out_width, filters]
        rows.append(tf.pad(part, [[0, 0], [first, used - first - length], [0, 0], [0, 0]]))
    return tf.stack(columns, axis=3), tf.stack(rows, axis=3)


def _im2col(images: tf.Tensor, cotangent: tf.Tensor, window: Window) -> tuple[tf.Tensor, tf.Tensor]:
    """Return [n, rows, columns, places in the window, channels] and [n, rows, columns, 1, filters]."""
    _, out_height, out_width, _ = cotangent.shape
    (tall, wide), (down, across), (step_y, step_x) = window.size, window.dilation, window.strides
    height, width = (out_height - 1) * step_y + 1, (out_width - 1) * step_x + 1  # from the first to the last window
    # Cut or pad the images to the rows and columns that the windows read.
    top, left = window.before
    padded = images[:, : height + (tall - 1) * down - top, : width + (wide - 1) * across - left]
    bottom = height + (tall - 1) * down - top - padded.shape[1]
    right = width + (wide - 1) * across - left - padded.shape[2]
    if top or left or bottom or right:
        padded = tf.pad(padded, [[0, 0], [top, bottom], [left, right], [0, 0]])
    # The pixels at each place of the window, [n, out_height, out_width, channels].
    places = [
        padded[:, i * down : i * down + height : step_y, j * across : j * across + width : step_x]
        for i in range(tall)
        for j in range(wide)
    ]
    return tf.stack(places, axis=3), cotangent[:, :, :, None]


def _by_group(x: tf.Tensor, groups: int) -> tf.Tensor:
    """Return [n, height, width, places, channels] as [n, groups, positions, places · channels of a group]."""
    n, height, width, places, channels = x.shape
    if groups == 1:
        return tf.reshape(x, [n, 1, height * width, places * channels])
    split = tf.reshape(x, [n, height * width, places, groups, channels // groups])
    # Transposed to [n, groups, positions, places, channels of a group].
    return tf.reshape(tf.transpose(split, [0, 3, 1, 2, 4]), [n, groups, height * width, -1])
