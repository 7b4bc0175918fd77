"""Train and measure narrow networks on odd numbers of images in float32, and print how far that is from float64.

oneDNN has no kernels for float64. Activations are smooth, for a rectifier at its kink would turn rounding into a step.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from infomcr_cli.measures import GramEngine
from infomcr_cli.measures.loss_surface import LossSurface
from infomcr_cli.models import build_model, named_weights
from infomcr_cli.training import train_step
from infomcr_cli.training.regularizers.base import Regularizer
from infomcr_cli.training.regularizers.fisher_trace import FisherTrace
from infomcr_cli.training.regularizers.gradient_norm import GradientNorm
from infomcr_cli.training.regularizers.local_minimum import LocalMinimum
from infomcr_cli.training.regularizers.sam import SAM

SHAPE, CLASSES, BATCH, PARTS = (16, 16, 3), 4, 25, 5
STEPS: dict[str, tuple[int, Regularizer | None]] = {
    **{f"plain, {width} channels": (width, None) for width in (4, 12)},
    "local minimum": (4, LocalMinimum(PARTS, alpha=0.1, beta=1.0)),
    "local minimum, sharing a pass": (12, LocalMinimum(PARTS, alpha=0.1, beta=1.0, share_pass=True)),
    "sam": (8, SAM(PARTS)),
    "gradient norm": (6, GradientNorm(PARTS)),
    "fisher trace": (4, FisherTrace(PARTS)),
}


def network(width: int, precision: str = "float32") -> keras.Model:
    keras.config.set_dtype_policy(precision)
    widths = (width, 2 * width)
    model = build_model(
        "wrn", input_shape=SHAPE, num_classes=CLASSES, widths=widths, blocks_per_group=1, activation="gelu"
    )
    for place, variable in enumerate(named_weights(model).values()):
        start = np.random.default_rng(place).uniform(-0.3, 0.5, variable.shape).astype("float32")
        variable.assign(np.abs(start) + 0.5 if "variance" in variable.path else start)
    return model


def samples(count: int) -> tuple[Any, Any]:
    generator = np.random.default_rng(1)
    return generator.standard_normal((count, *SHAPE)).astype("float32"), generator.integers(0, CLASSES, count)


def step_of(width: int, regularizer: Regularizer | None, precision: str) -> Any:
    """Return how far a step moves each weight and statistic."""
    model, optimizer = network(width, precision), keras.optimizers.SGD(100.0)  # far above rounding
    before = model.get_weights()
    images, labels = samples(BATCH)

    def step(images: tf.Tensor, labels: tf.Tensor) -> None:
        train_step(model, optimizer, images, labels, regularizer=regularizer)

    compiled = tf.function(step, autograph=False) if precision == "float32" else step
    compiled(tf.constant(images, precision), tf.constant(labels))
    return [a - b for a, b in zip(model.get_weights(), before, strict=True)]


def distance(of_precision: Callable[[str], list[Any]]) -> float:
    """Return the largest difference between the precisions, in units of an array's largest entry."""
    pairs = zip(of_precision("float32"), of_precision("float64"), strict=True)
    return max(float(np.max(np.abs(found - truth)) / np.max(np.abs(truth))) for found, truth in pairs)


def measured(width: int) -> dict[str, float]:
    """Blocks, chunks, sub-batches and what is audited, all of odd numbers."""
    model = network(width)
    images, labels = samples(BATCH)

    def surface(precision: str) -> LossSurface:
        return LossSurface(model, images, labels, precision=precision)

    start = surface("float64").weights
    vector = np.random.default_rng(2).standard_normal(len(start))
    few = np.arange(5)
    return {
        "gram": distance(lambda p: [GramEngine(model, precision=p)(images, labels).gram]),
        "gram of chunks": distance(
            lambda p: [GramEngine(model, precision=p, batch_norm="batch", chunk_size=5)(images, labels).gram]
        ),
        "gradient": distance(lambda p: [surface(p).loss_and_gradient(start, few)[1]]),
        "gradient of one sample": distance(lambda p: [surface(p).loss_and_gradient(start, few[:1])[1]]),
        "hessian": distance(lambda p: [surface(p).hessian_product(vector)]),
    }


if __name__ == "__main__":
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    found = {
        name: distance(lambda precision, w=width, r=regularizer: step_of(w, r, precision))
        for name, (width, regularizer) in STEPS.items()
    }
    print(json.dumps(found | measured(6)))
