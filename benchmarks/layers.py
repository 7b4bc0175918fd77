"""Gamma of one draw on small models of one layer: what a layer type without a closed form costs.

Command:  python -m benchmarks.layers [--json FILE]
Five turns after a first call: a draw of 100 in inference mode against one batched forward and backward pass over the
same images, and against a hundred passes of one image each.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf

from benchmarks.gamma_sides import Work
from benchmarks.rows import FASTER, SLOWER, Row, finish, ratios_of
from infomcr_cli.measures import GramEngine

COUNT, TURNS = 100, 5
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
    """Print two rows for each layer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    options, rows = parser.parse_args(), []
    for name, (shape, make) in KINDS.items():
        keras.utils.set_random_seed(0)
        for row in _rows(name, _model(shape, make())):
            print(row.line(), flush=True)
            rows.append(row)
    return finish(rows, options.json)


def _model(shape: tuple[int, ...], layer: Any) -> keras.Model:
    inputs = keras.Input(shape)
    x = layer(inputs, inputs) if isinstance(layer, LAYERS.MultiHeadAttention) else layer(inputs)
    pool = {4: LAYERS.GlobalAveragePooling2D, 3: LAYERS.GlobalAveragePooling1D}.get(len(x.shape))
    return keras.Model(inputs, LAYERS.Dense(10)(pool()(x) if pool else x))


def _rows(name: str, model: keras.Model) -> list[Row]:
    """Return the rows of one layer."""
    images, labels = tf.random.normal((COUNT, *model.input_shape[1:])), tf.range(COUNT) % 10
    variables = [v.value for v in model.trainable_variables]

    @tf.function
    def backward(x: tf.Tensor, y: tf.Tensor) -> Any:
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, model(x, training=False))
        return tape.gradient(losses, variables)

    singles = [(images[i : i + 1], labels[i : i + 1]) for i in range(COUNT)]
    engine, arrays = GramEngine(model), (images.numpy(), labels.numpy())
    served = " and ".join(sorted(set(engine(*arrays).gradient_method.values())))
    ways: dict[str, Work] = {
        f"{name}, by {served}": lambda: engine(*arrays),
        "one pass of 100": lambda: backward(images, labels),
        "100 passes of one": lambda: [backward(*one) for one in singles],
    }
    (title, draw), *others = _turns(ways).items()
    meanings = (SLOWER, FASTER)
    return [
        Row(
            title, draw, against=other, other_seconds=seconds, ratios=ratios_of(draw, seconds, meaning), meaning=meaning
        )
        for (other, seconds), meaning in zip(others, meanings, strict=True)
    ]


def _turns(ways: dict[str, Work]) -> dict[str, list[float]]:
    """Return the seconds of each way, in turns after a first call."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(TURNS + 1):
        for name, work in ways.items():
            start = time.perf_counter()
            work()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    sys.exit(main())
