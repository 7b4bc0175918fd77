"""Convolutions in processes of their own, with oneDNN's kernels and without: some of them were wrong, or crashed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import grimp
import keras
import numpy as np
import pytest
import tensorflow as tf

import infomcr_cli
from infomcr_cli.models import build_model, strided_gradient

PACKAGE = Path(infomcr_cli.__file__).parent
CHILD = Path(__file__).with_name("convolution_child.py")
FLOAT32, BFLOAT16 = 1e-4, 2e-2
ALL_KERNELS: dict[str, dict[str, str]] = {
    "TensorFlow's own": {"TF_ENABLE_ONEDNN_OPTS": "0"},
    "oneDNN": {"TF_ENABLE_ONEDNN_OPTS": "1"},
    "oneDNN for AVX2": {"TF_ENABLE_ONEDNN_OPTS": "1", "ONEDNN_MAX_CPU_ISA": "AVX2"},
}


@pytest.mark.parametrize("kernels", ALL_KERNELS)
def test_convolution_derivatives_equal_the_reference(kernels: str) -> None:
    """With three threads, since the fault showed where they cannot share the images evenly."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **ALL_KERNELS[kernels]}
    done = subprocess.run([sys.executable, str(CHILD), "3"], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    assert found.pop("bfloat16") < BFLOAT16
    assert {name: error for name, error in found.items() if not error < FLOAT32} == {}


def strides_of_kernel_gradients(model: keras.Model, shape: tuple[int, ...], twice: bool = False) -> list[Any]:
    """Trace a backward pass, or the gradient of one, and return (window, strides) of every kernel gradient in it."""

    def gradient(images: tf.Tensor) -> Any:
        variables = model.trainable_variables
        with tf.GradientTape() as outer:
            with tf.GradientTape() as tape:
                output = model(images, training=True)
                loss = tf.reduce_sum(output**2)
            found = tape.gradient(loss, variables, unconnected_gradients="zero")
            square = tf.add_n([tf.reduce_sum(g**2) for g in found])
        return outer.gradient(square, variables, unconnected_gradients="zero") if twice else found

    graph = tf.function(gradient).get_concrete_function(tf.TensorSpec((None, *shape))).graph
    made = [op for op in graph.get_operations() if op.type.startswith(("Conv2D", "Depthwise")) and "Filter" in op.type]
    return [(op.outputs[0].shape[:2].as_list(), max(op.get_attr("strides"))) for op in made]


LAYERS = {
    "Conv2D": (keras.layers.Conv2D(4, 1, 2), (16, 16, 3)),
    "Conv2D, one direction": (keras.layers.Conv2D(4, 1, (1, 2)), (16, 16, 3)),
    "Conv2D, window in one direction": (keras.layers.Conv2D(4, (1, 3), (2, 1)), (16, 16, 3)),
    "Conv2D, channels first": (keras.layers.Conv2D(4, 1, 2, data_format="channels_first"), (3, 16, 16)),
    "Conv1D": (keras.layers.Conv1D(4, 1, 2), (64, 3)),
    "SeparableConv2D": (keras.layers.SeparableConv2D(4, 1, 2), (16, 16, 3)),
    "DepthwiseConv2D": (keras.layers.DepthwiseConv2D(1, 2), (16, 16, 1)),
    "Conv2DTranspose": (keras.layers.Conv2DTranspose(4, 1, 2), (16, 16, 3)),
}


class Direct(keras.layers.Layer):
    """A convolution that no Keras layer makes."""

    def build(self, shape: Any) -> None:
        self.kernel = self.add_weight(shape=(1, 1, shape[-1], 4))

    def call(self, images: Any) -> Any:
        return tf.nn.conv2d(images, self.kernel, 2, "SAME")


@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize("name", [*LAYERS, "tf.nn.conv2d"])
def test_kernel_gradient_of_one_pixel_windows_has_no_strides(name: str, twice: bool) -> None:
    layer, shape = LAYERS[name] if name in LAYERS else (Direct(), (16, 16, 3))
    image = keras.Input(shape)
    found = strides_of_kernel_gradients(keras.Model(image, layer(image)), shape, twice)
    assert found
    assert not [one for one in found if one[0] == [1, 1] and one[1] > 1]


@pytest.mark.parametrize("name", ["wrn", "ResNet50V2"])
def test_networks_with_strided_shortcuts_use_the_corrected_gradient(name: str) -> None:
    model = build_model(name, input_shape=(32, 32, 3), num_classes=3)
    found = strides_of_kernel_gradients(model, (32, 32, 3))
    assert any(window == [3, 3] for window, _ in found)
    assert not [one for one in found if one[0] == [1, 1] and one[1] > 1]


def test_every_module_that_differentiates_registers_the_corrected_gradients() -> None:
    graph = grimp.build_graph("infomcr_cli", exclude_type_checking_imports=True)
    with_tapes = [
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        for path in PACKAGE.rglob("*.py")
        if "GradientTape" in path.read_text()
    ]
    safe = strided_gradient.__name__
    assert len(with_tapes) > 5
    assert [m for m in with_tapes if not graph.chain_exists(importer=m, imported=safe)] == []


@pytest.mark.parametrize("shape", [(3, 6, 4, 5), (3, 7, 4, 5), (0, 6, 4, 5), (3, 5, 6, 4)])
@pytest.mark.parametrize("strides", [(1, 2, 2, 1), (1, 3, 2, 1), (1, 1, 2, 2), (1, 1, 1, 1)])
@pytest.mark.parametrize("unknown", [(), (0,), (0, 1, 2, 3)], ids=["no size", "batch", "all sizes"])
def test_pixels_used_are_those_of_a_strided_slice(shape: Any, strides: Any, unknown: tuple[int, ...]) -> None:
    """To the bit, and their gradient too, whichever sizes are known while the function is traced."""
    x = np.random.default_rng(0).standard_normal(shape).astype("float32")
    place = tuple(slice(None, None, stride) for stride in strides)

    @tf.function(input_signature=[tf.TensorSpec([None if axis in unknown else n for axis, n in enumerate(shape)])])
    def used(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = strided_gradient._every(x, strides)
            value = tf.reduce_sum(y * y)
        return y, tape.gradient(value, x)

    y, gradient = used(x)
    expected = np.zeros_like(x)
    expected[place] = 2 * x[place]
    np.testing.assert_array_equal(y, x[place])
    np.testing.assert_array_equal(gradient, expected)
