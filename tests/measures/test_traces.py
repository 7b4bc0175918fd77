"""Functions are traced as often as they must be: TensorFlow's warnings of retracing reach no user."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from cli import CommandLine
from tolerances import ROUNDING

from infomcr_cli.measures import gram_matrix
from infomcr_cli.measures.loss_surface import LossSurface
from infomcr_cli.models import build_model, grouped_convolution  # noqa: F401 -- what is tested
from infomcr_cli.models.score import make_scorer
from infomcr_cli.models.traced import Traced

L = keras.layers


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What TensorFlow says to its user meanwhile."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    tf.get_logger().addHandler(handler)
    yield lines
    tf.get_logger().removeHandler(handler)


def test_a_second_batch_size_is_the_last_that_is_traced() -> None:
    doubled = Traced(lambda x: 2 * x)
    for count in (3, 3, 5, 7, 3, 4):
        np.testing.assert_array_equal(doubled(np.ones((count, 2))), np.full((count, 2), 2.0))
    assert doubled.traces == 2


def test_arrays_take_the_types_of_a_signature() -> None:
    added = Traced(lambda x, y: x + y, [tf.TensorSpec((None,), tf.float32), tf.TensorSpec((None,), tf.float32)])
    assert added(np.ones(2), [1, 2]).dtype == tf.float32


def test_checkpoints_and_runs_of_one_network_share_what_is_compiled(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, said: list[str], tmp_path: Path
) -> None:
    data = [
        "data=digits",
        "data.train_size=64",
        "data.test_size=32",
        "data.batch_size=16",
        "measure.gamma.draw_size=16",
    ]
    network = ["model=wrn", "model.widths=[4,6]", "model.blocks_per_group=1", "tracking=off", "schedule.epochs=2"]
    assert command_line("train", *network, *data, "--run-dir", "runs/0").code == 0
    for place in range(1, 3):
        shutil.copytree(tmp_path / "runs/0", tmp_path / f"runs/{place}")
    names = ["margin", "sharpness", "relative_flatness", "spectral_product", "gamma"]
    settings = ["measure.gamma.draw_size=16", "measure.samples=20", f"measure.names=[{','.join(names)}]"]
    assert command_line("eval", "runs/0", *settings).code == 0

    made, function = [], tf.function

    def counting(*arguments: Any, **settings: Any) -> Any:
        if "jit_compile" not in settings:  # Keras defines one in each convolution, and calls it where it must
            made.append(arguments or settings)
        return function(*arguments, **settings)

    monkeypatch.setattr(tf, "function", counting)
    runs = [f"runs/{place}" for place in range(3)]
    answer = command_line("eval", *runs, "--checkpoint", "all", *settings)
    assert answer.code == 0
    assert "retracing" not in answer.err + " ".join(said)
    assert made == []


def test_several_networks_are_not_taken_for_one_that_is_traced_anew(said: list[str]) -> None:
    images, labels = np.ones((5, 4, 4, 1), np.float32), np.zeros(5, np.int32)
    for width in range(2, 8):
        model = build_model("mlp", input_shape=(4, 4, 1), num_classes=3, depth=1, width=width)
        surface = LossSurface(model, images, labels)
        surface.loss_and_gradient(surface.weights)
        make_scorer(model)([(images, labels)])
    assert said == []


def test_grouped_convolutions_outside_of_a_graph_are_compiled_once(said: list[str]) -> None:
    """Each group is a convolution of its own channels."""
    images = np.random.default_rng(0).standard_normal((2, 5, 5, 6))
    layers = [L.Conv2D(9, 3, groups=3, use_bias=False, dtype="float64") for _ in range(6)]
    for layer in layers:
        with tf.GradientTape() as tape:
            found = layer(images)
        by_kernel = tape.gradient(found, layer.kernel.value, tf.sin(found))
        with tf.GradientTape() as tape:
            groups = zip(np.split(images, 3, -1), tf.split(layer.kernel.value, 3, -1), strict=True)
            truth = tf.concat([tf.nn.conv2d(x, k, 1, "VALID") for x, k in groups], -1)
        np.testing.assert_allclose(found, truth, atol=ROUNDING)
        np.testing.assert_allclose(by_kernel, tape.gradient(truth, layer.kernel.value, tf.sin(truth)), atol=ROUNDING)
    assert said == []


def test_remarks_on_loops_in_a_layer_s_jacobian_are_not_the_user_s(said: list[str]) -> None:
    image = keras.Input((6, 6, 2))
    x = L.GlobalAveragePooling2D()(L.SeparableConv2D(3, 3)(image))
    model = keras.Model(image, L.Dense(3)(x))
    gram_matrix(model, np.random.default_rng(0).standard_normal((4, 6, 6, 2)).astype("float32"), np.arange(4) % 3)
    assert said == []
