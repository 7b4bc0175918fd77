"""Inputs that are no images: vectors, tokens, several arrays by name, from a file or from a function of the user's."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from cli import CommandLine

from infomcr_cli.data import load_dataset
from infomcr_cli.data.inputs import Inputs
from infomcr_cli.errors import InputError

layers = keras.layers
NAMES = "measure.names=[gamma,margin,frobenius_product]"
FAST = (NAMES, "measure.gamma.samples=40", "measure.gamma.draws=2", "measure.gamma.draw_size=20")
N = 60
RNG = np.random.default_rng(3)
LABELS = {"train_labels": np.arange(N) % 3, "test_labels": np.arange(N) % 3}
VECTORS = RNG.normal(size=(2, N, 7)).astype(np.float32)
TOKENS = RNG.integers(0, 20, (2, N, 6))


def vectors() -> keras.Model:
    return keras.Sequential([keras.Input((7,)), layers.Dense(5, activation="relu"), layers.Dense(3)])


def tokens() -> keras.Model:
    net = [layers.Embedding(20, 4), layers.GlobalAveragePooling1D(), layers.Dense(3, activation="softmax")]
    return keras.Sequential([keras.Input((6,)), *net])


def both() -> keras.Model:
    given = {"vector": keras.Input((7,), name="vector"), "words": keras.Input((6,), name="words", dtype="int32")}
    words = layers.GlobalAveragePooling1D()(layers.Embedding(20, 4)(given["words"]))
    return keras.Model(given, layers.Dense(3)(layers.Concatenate()([given["vector"], words])))


def both_in_a_list() -> keras.Model:
    model = both()
    return keras.Model([model.input["vector"], model.input["words"]], model.output)


def named(**arrays: Any) -> dict[str, Any]:
    return {f"{split}_{name}": array[i] for name, array in arrays.items() for i, split in enumerate(("train", "test"))}


CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "vectors": (vectors, {"x_train": VECTORS[0], "x_test": VECTORS[1]}),
    "tokens": (tokens, named(inputs=TOKENS)),
    "several by name": (both, named(vector=VECTORS, words=TOKENS)),
    "several in a list": (both_in_a_list, named(words=TOKENS, vector=VECTORS)),
}


def answer(command_line: CommandLine, *arguments: str) -> Any:
    given = command_line(*arguments, "--json")
    assert given.code == 0, given.err
    return json.loads(given.out)


def gamma_truth(model: keras.Model, inputs: Any, labels: Any) -> float:
    """½ ln det of the Gram matrix of one ordinary gradient a sample."""
    import tensorflow as tf

    rows = []
    for i, label in enumerate(labels):
        one = keras.tree.map_structure(lambda x, i=i: tf.constant(x[i : i + 1]), inputs)
        with tf.GradientTape() as tape:
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits([label], model(one, training=False))
        gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
        rows.append(np.concatenate([np.ravel(tf.convert_to_tensor(part)) for part in gradients]).astype(np.float64))
    jacobian = np.stack(rows)
    lengths = np.linalg.norm(jacobian, axis=1)
    unit = jacobian / lengths[:, None]
    return float(np.log(lengths).sum() + 0.5 * np.linalg.slogdet(unit @ unit.T)[1])


@pytest.mark.parametrize("name", CASES)
def test_gamma_of_other_inputs_is_that_of_one_gradient_a_sample(
    command_line: CommandLine, tmp_path: Path, name: str
) -> None:
    make, arrays = CASES[name]
    keras.utils.set_random_seed(1)
    model = make()
    model.save(tmp_path / "net.keras")
    np.savez(tmp_path / "data.npz", **arrays, **LABELS)
    answer(command_line, "import", "net.keras", "data=npz", "data.root=data.npz", "tracking=off", "--run-dir", "r")
    measures = answer(command_line, "eval", "r", *FAST)["runs"][0]["measures"]
    inputs = {key.removeprefix("train_"): array for key, array in arrays.items() if key.startswith("train_")}
    inputs = inputs if "several" in name else arrays.get("x_train", inputs.get("inputs"))
    if model.layers[-1].activation is keras.activations.softmax:
        model.layers[-1].activation = keras.activations.linear
    part = lambda start: keras.tree.map_structure(lambda x: x[start : start + 20], inputs)  # noqa: E731
    truth = np.mean([gamma_truth(model, part(k), LABELS["train_labels"][k : k + 20]) for k in (0, 20)])
    assert measures["gamma"]["value"] == pytest.approx(truth, abs=2e-3)
    assert measures["margin"]["value"] is not None
    if name != "vectors":
        assert measures["frobenius_product"]["value"] is None
        assert measures["frobenius_product"]["reason"]


SOURCE = """
import numpy as np
def arrays(*, rows=60):
    x = np.random.default_rng(3).normal(size=(2, rows, 7)).astype("float32")
    y = np.arange(rows) % 3
    return (x[0], y), (x[1], y)
def named():
    (x, y), (u, v) = arrays()
    return ({"vector": x, "words": np.zeros((60, 6), int)}, y), ({"vector": u, "words": np.zeros((60, 6), int)}, v)
def datasets():
    import tensorflow as tf
    (x, y), (u, v) = arrays()
    return tf.data.Dataset.from_tensor_slices((x, y)), tf.data.Dataset.from_tensor_slices((u, v)).batch(7)
def endless():
    import tensorflow as tf
    (x, y), (u, v) = arrays()
    return tf.data.Dataset.from_tensor_slices((x, y)).repeat(), tf.data.Dataset.from_tensor_slices((u, v))
def images():
    x = np.random.default_rng(3).integers(0, 256, (2, 60, 4, 4, 1)).astype("uint8")
    return (x[0], np.arange(60) % 3), (x[1], np.arange(60) % 3)
def wrong():
    return 3
def fractional():
    (x, y), test = arrays()
    return (x, y / 2), test
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"own_data_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return name


def data_of(module: str, function: str, *overrides: str) -> Any:
    from infomcr_cli.config.compose import compose_run

    given = ("data=builder", f"data.builder={module}:{function}", "data.batch_size=1", "data.scaling=raw", *overrides)
    return compose_run(given).data


def test_a_function_of_the_users_gives_arrays_and_tf_data_alike(module: str) -> None:
    one, other = (load_dataset(data_of(module, name), seed=0) for name in ("arrays", "datasets"))
    assert one.fingerprint == other.fingerprint
    assert np.array_equal(one.test.images, other.test.images)
    assert one.num_classes == 3
    several = load_dataset(data_of(module, "named"), seed=0)
    assert isinstance(several.train.images, Inputs)
    given = several.standardise(several.train.images[:3])
    assert isinstance(given, Mapping)
    assert given["vector"].dtype == np.float32
    assert given["words"].dtype == np.int32
    assert load_dataset(data_of(module, "images"), seed=0).image_shape == (4, 4, 1)
    assert len(load_dataset(data_of(module, "arrays", "+data.settings.rows=30"), seed=0).train) == 30


@pytest.mark.parametrize(
    ("function", "rule"),
    [
        ("wrong", "must return"),
        ("endless", "must be finite"),
        ("fractional", "whole numbers"),
        ("nothing", r"data\.builder must name a function"),
    ],
)
def test_what_a_function_may_not_give_is_refused(module: str, function: str, rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        load_dataset(data_of(module, function), seed=0)


def test_the_data_function_of_a_run_directory_is_called_only_where_the_user_names_it_again(
    command_line: CommandLine, module: str
) -> None:
    vectors().save("net.keras")
    builder = f"data.builder={module}:arrays"
    answer(command_line, "import", "net.keras", "data=builder", builder, "tracking=off", "--run-dir", "r")
    assert answer(command_line, "eval", "r", *FAST)["runs"]  # of the user's own, who named it for this run
    shutil.copytree("r", "theirs")
    refused = command_line("eval", "theirs", *FAST)
    assert refused.code == 2
    assert "data.builder must be given on the command line" in refused.err
    assert f"data.builder={module}:arrays" in refused.err
    assert answer(command_line, "eval", "theirs", builder, *FAST)["runs"][0]["measures"]["gamma"]["value"]


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1)])
def test_grey_images_fit_with_and_without_their_channel(
    command_line: CommandLine, tmp_path: Path, shape: tuple[int, ...]
) -> None:
    keras.Sequential([keras.Input(shape), layers.Flatten(), layers.Dense(10)]).save(tmp_path / "net.keras")
    made = answer(command_line, "import", "net.keras", "data.train_size=64", "data.test_size=64", "tracking=off")
    assert made["runs"][0]["weights"] == 650


@pytest.mark.parametrize(
    ("arrays", "rule"),
    [
        ({"x_train": VECTORS[0], "x_test": VECTORS[1][:, :5]}, "the same shape"),
        ({"x_train": VECTORS[0][:50], "x_test": VECTORS[1]}, "the same length"),
        (named(inputs=VECTORS + np.nan), "finite numbers"),
        (named(inputs=np.array([["a"] * 4] * N)[None].repeat(2, 0)), "must be numbers"),
        (named(vector=VECTORS), "fit the inputs of the network"),
        (named(inputs=VECTORS[:, :, :5]), "fit the inputs of the network"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    command_line: CommandLine, tmp_path: Path, arrays: dict[str, Any], rule: str
) -> None:
    both().save(tmp_path / "net.keras")
    np.savez(tmp_path / "data.npz", **arrays, **LABELS)
    said = command_line("import", "net.keras", "data=npz", "data.root=data.npz", "tracking=off")
    assert said.code == 2
    assert rule in said.err
    assert not (tmp_path / "runs").exists()


def test_training_needs_images_and_says_so(command_line: CommandLine, tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", **named(inputs=VECTORS), **LABELS)
    sizes = ("data.batch_size=20", "schedule.epochs=1", "tracking=off")
    said = command_line("train", "data=npz", "data.root=data.npz", "model=mlp", *sizes)
    assert said.code == 2
    assert "needs images" in said.err
