"""What a user's function may return, and which rule is named where it returns something else."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from infomcr_cli.errors import InputError
from infomcr_cli.measures import gram_matrix
from infomcr_cli.models import build_model, named_weights

SOURCE = """
import sys
import keras
import tensorflow as tf
from keras import layers as L

def given(shape, *rest):
    return keras.Sequential([keras.Input(shape), L.Flatten(), *rest])

class Net(keras.Model):
    def __init__(self, units):
        super().__init__()
        self.convs = [L.Conv2D(3, 3, name="conv"), L.Conv2D(3, 3, name="conv")]
        self.norm, self.flat, self.out = L.BatchNormalization(), L.Flatten(), L.Dense(units)
        self.gain = self.add_weight(shape=(), initializer="ones", name="gain")
    def call(self, x):
        for conv in self.convs:
            x = self.norm(conv(x))
        return self.gain * self.out(self.flat(x))

class Branching(Net):
    def call(self, x):
        return -super().call(x) if tf.reduce_sum(x) > 0 else super().call(x)

class Failing(Net):
    def call(self, x):
        return self.there_is_none(x)

def functional(input_shape, num_classes, l2):
    image = keras.Input(input_shape)
    return keras.Model(image, L.Dense(num_classes)(L.Flatten()(image)))
def subclassed(input_shape, num_classes, l2): return Net(num_classes)
def unbuilt(input_shape, num_classes, l2): return keras.Sequential([L.Flatten(), L.Dense(num_classes)])
def built_by_hand(input_shape, num_classes, l2):
    model = Net(num_classes); model.build((None, *input_shape)); return model
def squeezed(input_shape, num_classes, l2): return given(input_shape[:2], L.Dense(num_classes))

def nothing(input_shape, num_classes, l2): given(input_shape, L.Dense(num_classes))
def layer(input_shape, num_classes, l2): return L.Dense(num_classes)
def model_class(input_shape, num_classes, l2): return Net
def tensor(input_shape, num_classes, l2): return tf.zeros((1, num_classes))
def module(input_shape, num_classes, l2): return tf.Module()
def two_inputs(input_shape, num_classes, l2):
    one, two = keras.Input(input_shape, name="left"), keras.Input(input_shape, name="right")
    return keras.Model([one, two], L.Dense(num_classes)(L.Flatten()(L.Add()([one, two]))))
def two_outputs(input_shape, num_classes, l2):
    image = keras.Input(input_shape); x = L.Flatten()(image)
    return keras.Model(image, [L.Dense(num_classes)(x), L.Dense(num_classes)(x)])
def named_output(input_shape, num_classes, l2):
    image = keras.Input(input_shape)
    return keras.Model(image, {"logits": L.Dense(num_classes)(L.Flatten()(image))})
def called_for_a_dict(input_shape, num_classes, l2):
    class Named(Net):
        def call(self, x): return {"logits": super().call(x)}
    return Named(num_classes)
def fewer_classes(input_shape, num_classes, l2): return given(input_shape, L.Dense(num_classes - 2))
def subclassed_fewer(input_shape, num_classes, l2): return Net(num_classes - 2)
def maps(input_shape, num_classes, l2): return keras.Sequential([keras.Input(input_shape), L.Dense(num_classes)])
def column(input_shape, num_classes, l2): return given(input_shape, L.Dense(num_classes), L.Reshape((1, num_classes)))
def fixed_batch(input_shape, num_classes, l2):
    image = keras.Input(batch_shape=(32, *input_shape))
    return keras.Model(image, L.Dense(num_classes)(L.Flatten()(image)))
def other_images(input_shape, num_classes, l2): return given((32, 32, 3), L.Dense(num_classes))
def not_a_number(input_shape, num_classes, l2):
    return given(input_shape, L.Dense(num_classes, bias_initializer=keras.initializers.Constant(float("nan"))))
def choices(input_shape, num_classes, l2):
    class Choice(Net):
        def call(self, x): return tf.one_hot(tf.argmax(super().call(x), -1), num_classes, dtype=tf.int32)
    return Choice(num_classes)
def no_weights(input_shape, num_classes, l2):
    means = [L.GlobalAveragePooling2D(), L.Lambda(lambda x: tf.repeat(x, num_classes, 1))]
    return keras.Sequential([keras.Input(input_shape), *means])
def branching(input_shape, num_classes, l2): return Branching(num_classes)
def failing(input_shape, num_classes, l2): return Failing(num_classes)
def raising(input_shape, num_classes, l2):
    depth = 3
    raise KeyError("depth of the pyramid")  # line to be named
def raising_in_keras(input_shape, num_classes, l2):
    return keras.Sequential([keras.Input(input_shape), L.Conv2D(4, 99), L.Flatten(), L.Dense(num_classes)])
def leaving(input_shape, num_classes, l2): sys.exit(0)
def talking(input_shape, num_classes, l2):
    print("hello from the builder")
    return functional(input_shape, num_classes, l2)
async def awaited(input_shape, num_classes, l2): return functional(input_shape, num_classes, l2)
"""
SHAPE, CLASSES = (8, 8, 1), 5


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"networks_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return name


def built(path: str) -> keras.Model:
    return build_model(
        "builder", input_shape=SHAPE, num_classes=CLASSES, l2=0.0, builder=path, settings={}, trusted=True
    )


@pytest.mark.parametrize("name", ["functional", "subclassed", "unbuilt", "built_by_hand", "squeezed"])
def test_any_keras_model_that_maps_images_to_logits_is_accepted(module: Any, name: str) -> None:
    keras.utils.set_random_seed(2)
    model = built(f"{module}:{name}")
    images = np.random.default_rng(0).standard_normal((7, *SHAPE)).astype(np.float32)
    assert model(images).shape == (7, CLASSES)
    labels = np.arange(7) % CLASSES
    assert gram_matrix(model, images, labels).shape == (7, 7)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("nothing", r"must return a keras\.Model; got 'NoneType'\. Does the function end without return"),
        ("layer", r"must return a keras\.Model; got 'Dense'.*keras\.Sequential"),
        ("model_class", r"must return a keras\.Model; got 'the class Net'.*an instance"),
        ("tensor", r"must return a keras\.Model; got 'EagerTensor'"),
        ("module", r"must return a keras\.Model; got 'Module'.*functional, Sequential or subclassed"),
        ("awaited", r"must return a keras\.Model; got 'coroutine'"),
        ("two_inputs", r"one input, the images; got '2 inputs: left, right'"),
        ("two_outputs", r"one vector of logits.*several outputs.*the logits alone"),
        ("named_output", r"one vector of logits.*in a structure: {'logits': \(\w+, 5\)}.*the logits alone"),
        ("called_for_a_dict", r"one vector of logits.*in a structure: {'logits': \(3, 5\)}"),
        ("fewer_classes", r"output shape \(None, 5\).*got \(None, 3\).*5 classes"),
        ("subclassed_fewer", r"output shape \(None, 5\).*got \(None, 3\).*5 classes"),
        ("maps", r"output shape \(None, 5\).*got \(None, 8, 8, 5\).*Flatten or GlobalAveragePooling2D"),
        ("column", r"output shape \(None, 5\).*got \(None, 1, 5\).*other axes"),
        ("fixed_batch", r"got \(32, 5\).*any number of images"),
        ("other_images", r"takes images of shape \(8, 8, 1\), not \(32, 32, 3\)"),
        ("not_a_number", r"finite at its initial weights; got 'NaN or infinite"),
        ("choices", r"outputs logits; got \"<dtype: 'int32'> values\""),
        ("no_weights", r"trainable weights"),
        ("branching", r"TensorFlow can compile to a graph.*networks_\w+\.py, line 23"),
        ("failing", r"takes images of shape.*there_is_none.*networks_\w+\.py, line 27"),
        ("raising", r"without an error.*KeyError: 'depth of the pyramid' \(.*networks_\w+\.py, line \d\d"),
        ("raising_in_keras", r"without an error.*ValueError: .*networks_\w+\.py, line \d\d"),
        ("leaving", r"without an error.*SystemExit: 0 \(.*networks_\w+\.py, line \d\d"),
    ],
)
def test_invalid_network_is_refused_by_the_rule_it_breaks(module: Any, name: str, rule: str) -> None:
    with pytest.raises(InputError, match=rule) as refused:
        built(f"{module}:{name}")
    assert len(str(refused.value)) < 1500


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "import keras\nimport no_such_package\n",
            r"ModuleNotFoundError: No module named 'no_such_package' \(.*, line 2",
        ),
        ("import keras\n\ndef net(:\n", r"SyntaxError: .*line 3"),
        ("number = 1\nnumber.nothing\n", r"AttributeError: .*line 2"),
        ("import sys\nsys.exit(3)\n", r"SystemExit: 3 \(.*line 2"),
        ("from keras import nothing_of_this_name\n", r"ImportError: .*line 1"),
        ("\x00", r"(SyntaxError|ValueError): .*null bytes"),
    ],
)
def test_module_that_fails_to_import_is_refused_with_error_and_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Any, message: str
) -> None:
    name = f"broken_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(content)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(
        InputError, match=rf"model\.builder={name}:net must name a module that can be imported\. {message}"
    ):
        built(f"{name}:net")


def test_error_shows_the_expected_signature(module: Any) -> None:
    with pytest.raises(InputError, match=r"unexpected keyword.*'width'.*def functional\(\*, input_shape.*l2, width\)"):
        build_model(
            "builder",
            input_shape=SHAPE,
            num_classes=CLASSES,
            l2=0.0,
            builder=f"{module}:functional",
            settings={"width": 3},
            trusted=True,
        )


def test_prints_of_a_builder_stay_off_standard_output(module: Any, capsys: pytest.CaptureFixture[str]) -> None:
    built(f"{module}:talking")
    printed: Any = capsys.readouterr()
    assert printed.out == ""
    assert "hello from the builder" in printed.err


def test_weights_of_layers_of_the_same_name_get_different_names(module: Any) -> None:
    """Keras lets layers inside a subclassed model share a name; a checkpoint must hold the weights of both."""
    one, other = built(f"{module}:subclassed"), built(f"{module}:subclassed")
    assert len(named_weights(one)) == len(one.weights)
    assert list(named_weights(one)) == list(named_weights(other))
    assert {id(v) for v in named_weights(one).values()} == {id(v) for v in one.weights}


def test_check_leaves_the_network_unchanged(module: Any) -> None:
    """Moving statistics, seeds and Python's and NumPy's generators are where they were."""
    keras.utils.set_random_seed(4)
    model = built(f"{module}:subclassed")
    after = np.random.rand()  # noqa: NPY002 -- the generator that a seed of Keras sets
    np.testing.assert_array_equal(model.norm.moving_mean, np.zeros(3))
    keras.utils.set_random_seed(4)
    again = built(f"{module}:subclassed")
    assert after == np.random.rand()  # noqa: NPY002
    for a, b in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(a, b)
