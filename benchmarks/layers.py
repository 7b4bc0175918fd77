"""Gamma of one draw on small models of one layer: what a layer type without a closed form costs.

Command:  python -m benchmarks.layers
Milliseconds, medians of 5 after a first call: a draw of 100 in inference mode, one batched forward and backward pass
over the same images, and a hundred passes of one image each.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf

from benchmarks.gamma_sides import Work
from infomcr_cli.measures import GramEngine

COUNT = 100
LAYERS = keras.layers
IMAGE, SERIES, PATCHES, STEPS = (32, 32, 32), (256, 32), (49, 64), (50, 32)
KINDS: dict[str, tuple[tuple[int, ...], Callable[[], Any]]] = {
    "Conv2D": (IMAGE, lambda: LAYERS.Conv2D(32, 3, padding="same")),
    "Conv2DTranspose": (IMAGE, lambda: LAYERS.Conv2DTranspose(32, 3, padding="same")),
    "SeparableConv2D": (IMAGE, lambda: LAYERS.SeparableConv2D(32, 3, padding="same")),
    "GroupNormalization": (IMAGE, lambda: LAYERS.GroupNormalization(8)),
    "PReLU": (IMAGE, lambda: LAYERS.PReLU()),
    "Conv1D": (SERIES, lambda: LAYERS.Conv1D(64, 3, padding="same")),
    "Dense": (PATCHES, lambda: LAYERS.Dense(64)),
    "EinsumDense": (PATCHES, lambda: LAYERS.EinsumDense("btc,cd->btd", (None, 64), bias_axes="d")),
    "MultiHeadAttention": (PATCHES, lambda: LAYERS.MultiHeadAttention(4, 16)),
    "LSTM": (STEPS, lambda: LAYERS.LSTM(64)),
    "GRU": (STEPS, lambda: LAYERS.GRU(64)),
}


def main() -> int:
    """Print a line for each layer."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    for name, (shape, make) in KINDS.items():
        keras.utils.set_random_seed(0)
        _measure(name, _model(shape, make()))
    return 0


def _model(shape: tuple[int, ...], layer: Any) -> keras.Model:
    inputs = keras.Input(shape)
    x = layer(inputs, inputs) if isinstance(layer, LAYERS.MultiHeadAttention) else layer(inputs)
    pool = {4: LAYERS.GlobalAveragePooling2D, 3: LAYERS.GlobalAveragePooling1D}.get(len(x.shape))
    return keras.Model(inputs, LAYERS.Dense(10)(pool()(x) if pool else x))


def _measure(name: str, model: keras.Model) -> None:
    images, labels = tf.random.normal((COUNT, *model.input_shape[1:])), tf.range(COUNT) % 10
    variables = [v.value for v in model.trainable_variables]

    @tf.function
    def backward(x: tf.Tensor, y: tf.Tensor) -> Any:
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, model(x, training=False))
        return tape.gradient(losses, variables)

    singles = [(images[i : i + 1], labels[i : i + 1]) for i in range(COUNT)]
    engine, arrays = GramEngine(model), (images.numpy(), labels.numpy())
    served = ",".join(sorted(set(engine(*arrays).gradient_method.values())))
    ways: list[Work] = [
        lambda: engine(*arrays),
        lambda: backward(images, labels),
        lambda: [backward(*one) for one in singles],
    ]
    draw, batched, one_by_one = (_milliseconds(way) for way in ways)
    print(
        f"{name:20} by {served:12} draw {draw:6.1f}  one pass {batched:6.1f}  {COUNT} passes {one_by_one:6.1f}",
        flush=True,
    )


def _milliseconds(work: Work) -> float:
    work()
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds)


if __name__ == "__main__":
    sys.exit(main())
