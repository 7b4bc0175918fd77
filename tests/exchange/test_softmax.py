"""A softmax at the end is removed if it is recognised, and probabilities are refused where it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from tolerances import SINGLE

from infomcr_cli.errors import InputError
from infomcr_cli.exchange.architecture import read_architecture
from infomcr_cli.exchange.keras_file import build, read_keras_file
from infomcr_cli.models import named_weights
from infomcr_cli.models.keras_internals import full_precision
from infomcr_cli.models.logits import check_logits

layers = keras.layers


def functional(end: Callable[[Any], Any]) -> keras.Model:
    given = keras.Input((6,))
    hidden = layers.Dense(5, activation="relu")(given)
    return keras.Model(given, end(hidden))


ENDINGS: dict[str, Callable[[], keras.Model]] = {
    "of a dense layer": lambda: functional(layers.Dense(3, activation="softmax")),
    "a layer of its own": lambda: functional(lambda x: layers.Softmax()(layers.Dense(3)(x))),
    "an activation layer": lambda: functional(
        lambda x: layers.Activation("softmax", dtype="float32")(layers.Dense(3)(x))
    ),
    "an activation layer given as one": lambda: functional(layers.Dense(3, activation=layers.Activation("softmax"))),
    "an operation": lambda: functional(lambda x: keras.ops.softmax(layers.Dense(3)(x))),
    "a log-softmax": lambda: functional(layers.Dense(3, activation="log_softmax")),
    "a log-softmax operation": lambda: functional(lambda x: keras.ops.log_softmax(layers.Dense(3)(x), axis=-1)),
    "inside a nested model": lambda: functional(keras.Sequential([layers.Dense(3), layers.Softmax()])),
    "of a sequential model": lambda: keras.Sequential([keras.Input((6,)), layers.Dense(3, activation="softmax")]),
}


def saved(model: keras.Model, folder: Path) -> Path:
    model.save(folder / "model.keras")
    return folder / "model.keras"


def samples() -> Any:
    return np.random.default_rng(0).normal(size=(7, 6)).astype(np.float32)


@pytest.mark.parametrize("name", ENDINGS)
def test_the_softmax_of_the_logits_is_what_the_file_gives(tmp_path: Path, name: str) -> None:
    path = saved(ENDINGS[name](), tmp_path)
    read = read_keras_file(path)
    assert read.softmax_of is not None
    given = keras.ops.convert_to_numpy(keras.saving.load_model(path)(samples()))
    logits = read.model(samples())
    again = (keras.ops.log_softmax if "log" in name else keras.ops.softmax)(logits)
    assert np.allclose(given, again, atol=SINGLE)
    assert not np.allclose(given, logits)
    rebuilt = build(read_architecture(read.architecture, "model.json"), "model.json")
    assert list(named_weights(rebuilt)) == list(named_weights(read.model))


def test_logits_are_left_alone(tmp_path: Path) -> None:
    read = read_keras_file(saved(functional(layers.Dense(3)), tmp_path))
    assert read.softmax_of is None
    assert np.array_equal(read.model(samples()), read.original(samples()))


KINDS = ("augmented", "lists of one", "half precision", "a layer used twice", "a frozen part", "without an input layer")


def image_networks() -> dict[str, keras.Model]:
    """Networks as people save them: augmentation inside, mixed precision, lists of one, shared layers, frozen ones."""
    given = keras.Input((6, 6, 3))
    flat = layers.Flatten()
    shared = layers.Dense(8, activation="relu")
    augmented = [layers.Rescaling(1 / 255), layers.RandomFlip(), layers.RandomRotation(0.1), layers.Dropout(0.5)]
    frozen = keras.Sequential([layers.Conv2D(4, 3), layers.BatchNormalization(), layers.ReLU()])
    half = keras.Sequential([given, layers.Conv2D(4, 3, dtype="mixed_bfloat16"), flat, layers.Dense(4)])
    tuned = keras.Model(given, layers.Dense(4)(layers.GlobalMaxPooling2D()(frozen(given))))
    frozen.trainable = False
    unbuilt = keras.Sequential([layers.Flatten(), layers.Dense(4)])
    unbuilt.build((None, 6, 6, 3))
    models = (
        keras.Sequential([keras.Input((6, 6, 3)), *augmented, layers.Flatten(), layers.Dense(4)]),
        keras.Model([given], [layers.Dense(4)(flat(given))]),
        half,
        keras.Model(given, layers.Dense(4)(shared(shared(layers.Dense(8)(flat(given)))))),
        tuned,
        unbuilt,
    )
    return dict(zip(KINDS, models, strict=True))


@pytest.mark.parametrize("name", KINDS)
def test_networks_as_people_save_them_come_in_whole(tmp_path: Path, name: str) -> None:
    model = image_networks()[name]
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    read = read_keras_file(saved(model, tmp_path))
    images = np.random.default_rng(0).integers(0, 256, (5, 6, 6, 3)).astype(np.float32)
    with full_precision(model):
        expected = model([images] if name == "lists of one" else images, training=False)
    expected = expected[0] if isinstance(expected, list) else expected
    assert np.array_equal(expected, read.model(images, training=False))
    assert len(read.model.trainable_weights) == len(model.trainable_weights)
    rebuilt = build(read_architecture(read.architecture, "model.json"), "model.json")
    assert list(named_weights(rebuilt)) == list(named_weights(read.model))
    assert len(named_weights(rebuilt)) == len(model.weights)


REFUSED: dict[str, tuple[Callable[[], keras.Model], str]] = {
    "one sigmoid": (lambda: functional(layers.Dense(1, activation="sigmoid")), "sigmoid at its end"),
    "several sigmoids": (lambda: functional(lambda x: layers.Activation("sigmoid")(layers.Dense(3)(x))), "sigmoid"),
    "over another axis": (lambda: functional(lambda x: layers.Softmax(axis=0)(layers.Dense(3)(x))), "the last axis"),
    "an output by name": (lambda: functional(lambda x: {"z": layers.Dense(3)(x)}), "unnamed output"),
    "two outputs": (lambda: functional(lambda x: [layers.Dense(3)(x), layers.Dense(3)(x)]), "2 outputs"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_gives_no_logits_is_refused_with_the_reason(tmp_path: Path, name: str) -> None:
    make, rule = REFUSED[name]
    with pytest.raises(InputError, match=rule):
        read_keras_file(saved(make(), tmp_path))


def test_an_average_of_softmaxes_is_refused(tmp_path: Path) -> None:
    heads = functional(
        lambda x: layers.Average()([layers.Dense(3, activation="softmax")(x), layers.Dense(3, activation="softmax")(x)])
    )
    read = read_keras_file(saved(heads, tmp_path))
    with pytest.raises(InputError, match="not probabilities"):
        check_logits(read.model, samples())


def test_an_adapted_normalization_is_part_of_the_layers_and_no_weight(tmp_path: Path) -> None:
    normalization = layers.Normalization()
    normalization.adapt(samples() * 3 + 2)
    given = keras.Input((6,))
    path = saved(keras.Model(given, layers.Dense(3)(normalization(given))), tmp_path)
    read = read_keras_file(path)
    assert list(named_weights(read.model)) == ["dense/kernel", "dense/bias"]
    expected = keras.saving.load_model(path)(samples())
    rebuilt = build(read_architecture(read.architecture, "model.json"), "model.json")
    rebuilt.set_weights(read.model.get_weights())
    assert np.allclose(rebuilt(samples()), expected, atol=SINGLE)


def test_layers_of_one_name_in_two_inner_models_keep_weights_of_their_own(tmp_path: Path) -> None:
    inner = [
        keras.Sequential([keras.Input((6,)), layers.Dense(4, name="fc"), layers.Dropout(0.5)], name=name)
        for name in ("left", "right")
    ]
    given = keras.Input((6,))
    path = saved(keras.Model(given, layers.Dense(3)(layers.Add()([one(given) for one in inner]))), tmp_path)
    read = read_keras_file(path)
    weights = named_weights(read.model)
    assert len(weights) == len(read.model.weights) == 6
    rebuilt = build(read_architecture(read.architecture, "model.json"), "model.json")
    for name, variable in named_weights(rebuilt).items():
        variable.assign(weights[name])
    assert np.allclose(rebuilt(samples()), keras.saving.load_model(path)(samples()), atol=SINGLE)


def test_the_same_network_has_the_same_description_in_every_process(tmp_path: Path) -> None:
    path = saved(functional(layers.Dense(3)), tmp_path)
    code = (
        "import sys; from pathlib import Path; from infomcr_cli.exchange.keras_file import read_keras_file\n"
        "sys.stdout.buffer.write(read_keras_file(Path(sys.argv[1])).architecture)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "1"}  # this process has another one
    other = subprocess.run([sys.executable, "-c", code, path], env=environment, capture_output=True, check=True)
    assert other.stdout == read_keras_file(path).architecture


def test_a_softmax_inside_a_recurrent_layer_is_not_its_end(tmp_path: Path) -> None:
    path = saved(keras.Sequential([keras.Input((5, 3)), layers.LSTM(3, activation="softmax")]), tmp_path)
    read = read_keras_file(path)
    given = np.random.default_rng(0).normal(size=(7, 5, 3)).astype(np.float32)
    assert read.softmax_of is None
    assert np.allclose(keras.saving.load_model(path)(given), read.model(given), atol=SINGLE)
