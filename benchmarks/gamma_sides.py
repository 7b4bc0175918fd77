"""The ways to one draw of gamma that are compared, as sides of `benchmarks.timing`.

Command: python -m benchmarks.gamma_sides NAME [N]
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from benchmarks.timing import serve
from infomcr_cli.measures import GramEngine
from infomcr_cli.models import build_model

CHUNK = 10
Work = Callable[[], object]


def network() -> keras.Model:
    """Wide ResNet 28-2 with 1,467,610 weights."""
    keras.utils.set_random_seed(0)
    return build_model("wrn", input_shape=(32, 32, 3), num_classes=10, depth=28, width=2, l2=5e-4)


def samples(count: int, size: int = 32, classes: int = 10) -> tuple[Any, Any]:
    """Random images and labels: the time does not depend on what they are."""
    generator = np.random.default_rng(0)
    images = generator.normal(size=(count, size, size, 3)).astype(np.float32)
    return images, generator.integers(0, classes, count).astype(np.int32)


def engine(count: int, **options: Any) -> Work:
    """Ours: the Gram matrix and its log-volume."""
    measure, (images, labels) = GramEngine(network(), **options), samples(count)
    return lambda: measure(images, labels).gamma


def inference_floor(count: int) -> Work:
    """One forward pass and one backward pass to the outputs of all layers with weights, nothing else."""
    model, (images, labels) = network(), samples(count)
    watched = [layer for layer in model.layers if layer.trainable_variables]
    outputs = keras.Model(model.inputs, [layer.output for layer in watched])

    @tf.function
    def run(x: tf.Tensor, y: tf.Tensor) -> Any:
        with tf.GradientTape(watch_accessed_variables=True) as tape:
            found = outputs(x, training=False)
            loss = tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(y, found[-1]))
        return [tf.reduce_sum(g) for g in tape.gradient(loss, found)]

    return lambda: run(images, labels)


def batch_floor(count: int) -> Work:
    """Vectorised backward passes to all weights, one for each image of a chunk; the rows are thrown away."""
    model, (images, labels) = network(), samples(count)
    variables = [v.value for v in model.trainable_variables]

    @tf.function
    def run(x: tf.Tensor, y: tf.Tensor) -> Any:
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, model(x, training=True))
        return tape.jacobian(losses, variables)

    def work() -> None:
        for start in range(0, count, CHUNK):
            run(images[start : start + CHUNK], labels[start : start + CHUNK])

    return work


def original(count: int, training: bool) -> Work:
    """The original way: a Jacobian for each chunk, retraced for each draw; float64 singular values of all of J."""
    model, (images, labels) = network(), samples(count)
    variables = [v.value for v in model.trainable_variables]

    def draw() -> float:
        @tf.function
        def run(x: tf.Tensor, y: tf.Tensor) -> Any:
            with tf.GradientTape() as tape:
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, model(x, training=training))
            return tape.jacobian(losses, variables)

        rows = []
        for start in range(0, count, CHUNK):
            parts = run(images[start : start + CHUNK], labels[start : start + CHUNK])
            rows.append(np.concatenate([p.numpy().reshape(CHUNK, -1) for p in parts], axis=1))
        values = np.linalg.svd(np.concatenate(rows).astype(np.float64), compute_uv=False)
        return float(np.sum(np.log(values)))

    return draw


def resnet50(count: int) -> Work:
    """ResNet-50 at 224x224, 25.6 million weights, a thousand classes, within 6 GB of arrays."""
    model = keras.applications.ResNet50(weights=None, classifier_activation=None)
    measure, (images, labels) = GramEngine(model, memory="6GB"), samples(count, size=224, classes=1000)
    return lambda: measure(images, labels).gamma


SIDES: dict[str, Callable[[int], Work]] = {
    "inference": engine,
    "inference-floor": inference_floor,
    "inference-original": lambda count: original(count, training=False),
    "batch": lambda count: engine(count, batch_norm="batch", chunk_size=CHUNK),
    "batch-floor": batch_floor,
    "batch-original": lambda count: original(count, training=True),
    "resnet50": resnet50,
}

if __name__ == "__main__":
    serve(
        SIDES[sys.argv[1]](int(sys.argv[2]) if len(sys.argv) > 2 else 100), warm_ups=0 if "resnet" in sys.argv[1] else 1
    )
