"""Runs of our own as plain Keras models: the scaling inside, the numbers those of `eval`, nothing overwritten."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from archives import small_file
from cli import CommandLine
from saved_runs import NETWORKS, SMALL, answer, run_of
from tolerances import AUTODIFF, FLOAT32, SINGLE

from infomcr_cli.errors import InputError
from infomcr_cli.exchange.formats import format_of
from infomcr_cli.exchange.writers import write
from infomcr_cli.models import named_weights
from infomcr_cli.runs import RunDirectory, load_checkpoint


def test_networks_of_the_catalogue_give_the_same_on_raw_images_without_infomcr(
    command_line: CommandLine, predictions: Callable[..., Any]
) -> None:
    jobs, expected = [], {}
    for name, overrides in NETWORKS.items():
        model, dataset = run_of(f"runs/{name}", overrides)
        document = answer(command_line, "export", f"runs/{name}", f"{name}.keras")
        assert document["notes"] == []
        assert document["output"] == "logits"
        jobs.append({"name": name, "file": f"{name}.keras", "inputs": dataset.test.images})
        expected[name] = keras.ops.convert_to_numpy(model(dataset.standardise(dataset.test.images), training=False))
    answer(command_line, "export", "runs/mlp", "raw.keras", "--raw")
    jobs.append({"name": "raw", "file": "raw.keras", "inputs": dataset.standardise(dataset.test.images)})
    expected["raw"] = expected["mlp"]
    found = predictions(jobs)
    for name, logits in expected.items():
        assert np.abs(found[name] - logits).max() <= 1e-6 * np.abs(logits).max()
        assert np.array_equal(np.argmax(found[name], axis=1), np.argmax(logits, axis=1))


def test_what_is_written_says_where_it_comes_from(command_line: CommandLine) -> None:
    run_of("runs/mlp", NETWORKS["mlp"])
    document = answer(command_line, "export", "runs/mlp", "net.keras", "--checkpoint", "best")
    with zipfile.ZipFile("net.keras") as archive:
        metadata = json.loads(archive.read("metadata.json"))
    assert metadata["keras_version"] == keras.__version__
    assert metadata["class_names"] == [str(digit) for digit in range(10)]
    assert metadata["infomcr"]["run"] == "mlp"
    assert metadata["infomcr"]["step"] == document["step"] == 2
    answer(command_line, "export", "runs/mlp", "net.weights.h5")
    with h5py.File("net.weights.h5") as file:
        assert json.loads(file.attrs["infomcr"])["class_names"] == metadata["class_names"]
    answer(command_line, "export", "runs/mlp", "served")
    noted = json.loads(Path("served/assets.extra/metadata.json").read_text())
    assert noted["class_names"] == metadata["class_names"]


@pytest.mark.parametrize("name", ["plain.keras", "network.keras", "former", "plain"])
def test_a_file_may_have_any_name(tmp_path: Path, name: str) -> None:
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    for _ in range(2):  # the second time it is replaced
        write(network, tmp_path / name, format_of(tmp_path / name), {"class_names": ["a", "b"]})
    assert os.listdir(tmp_path) == [name]
    if name.endswith(".keras"):
        read = keras.saving.load_model(tmp_path / name)
        assert np.array_equal(read.get_weights()[0], network.get_weights()[0])


def test_what_was_exported_can_be_imported_again(command_line: CommandLine) -> None:
    run_of("runs/wrn", NETWORKS["wrn"])
    names = "measure.names=[gamma,fisher_trace,margin,parameter_count]"
    measure = (names, "measure.gamma.samples=20", "measure.gamma.draws=1", "measure.gamma.draw_size=20")
    before = answer(command_line, "eval", "runs/wrn", *measure)["runs"][0]
    answer(command_line, "export", "runs/wrn", "net.keras")
    answer(command_line, "import", "net.keras", *SMALL, "--run-dir", "runs/again")
    after = answer(command_line, "eval", "runs/again", *measure)["runs"][0]
    assert after["test"]["loss"] == pytest.approx(before["test"]["loss"], rel=AUTODIFF)
    for name in ("gamma", "fisher_trace", "margin", "parameter_count"):
        assert after["measures"][name]["value"] == pytest.approx(before["measures"][name]["value"], rel=FLOAT32)


def test_weights_of_ours_go_into_the_same_network_again(command_line: CommandLine) -> None:
    model, _ = run_of("runs/wrn", NETWORKS["wrn"])
    answer(command_line, "export", "runs/wrn", "net.weights.h5")
    scaled = "data.scaling=standardised"
    answer(command_line, "import", "net.weights.h5", *NETWORKS["wrn"], *SMALL, scaled, "--run-dir", "runs/again")
    held = load_checkpoint(RunDirectory.open("runs/again")).weights
    assert all(np.array_equal(held[name], variable) for name, variable in named_weights(model).items())


def test_the_scaling_is_a_layer_beside_those_of_the_network(command_line: CommandLine) -> None:
    model, _ = run_of("runs/mlp", NETWORKS["mlp"])
    answer(command_line, "export", "runs/mlp", "net.keras")
    names = [layer.name for layer in keras.saving.load_model("net.keras").layers]
    assert names == ["image", "scaling", *[layer.name for layer in model.layers[1:]]]


def test_nothing_is_overwritten_without_the_option(command_line: CommandLine, tmp_path: Path) -> None:
    run_of("runs/mlp", NETWORKS["mlp"])
    Path("net.keras").write_text("mine")
    said = command_line("export", "runs/mlp", "net.keras")
    assert said.code == 2
    assert "--force" in said.err
    assert Path("net.keras").read_text() == "mine"
    assert command_line("export", "runs/mlp", "net.keras", "--force").code == 0
    assert zipfile.is_zipfile("net.keras")
    Path("folder").mkdir()
    Path("folder", "mine.txt").touch()
    assert command_line("export", "runs/mlp", "folder", "--force").code == 2
    assert Path("folder", "mine.txt").exists()
    assert command_line("export", "runs/mlp", "served").code == 0
    assert command_line("export", "runs/mlp", "served", "--force").code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "net.keras", "runs", "served"]


BAD = {
    "no run": (("runs/none", "net.keras"), "a run must be a directory"),
    "an unknown format": (("runs/mlp", "net.pt"), "NAME.keras"),
    "an unknown checkpoint": (("runs/mlp", "net.keras", "--checkpoint", "first"), "a checkpoint must exist"),
    "a folder that is missing": (("runs/mlp", "none/net.keras"), "the folder of the exported file must exist"),
    "another seed": (("runs/mlp", "net.keras", "seed=3"), "settings that determined its weights"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_exits_2_and_writes_nothing(command_line: CommandLine, tmp_path: Path, name: str) -> None:
    run_of("runs/mlp", NETWORKS["mlp"])
    arguments, rule = BAD[name]
    said = command_line("export", *arguments, "--json")
    assert said.code == 2
    assert rule in said.err
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_read_only_folder_is_refused_before_the_work(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run_of("runs/mlp", NETWORKS["mlp"])
    Path("fixed").mkdir()
    may = os.access  # root may write anywhere
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "fixed" and may(path, mode))
    said = command_line("export", "runs/mlp", "fixed/net.keras")
    assert said.code == 2
    assert "the folder of the exported file must be writable" in said.err
    assert not list(Path("fixed").iterdir())


def test_onnx_is_refused_with_the_way_to_get_it_where_it_is_missing(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tf2onnx" else find(name))
    run_of("runs/mlp", NETWORKS["mlp"])
    said = command_line("export", "runs/mlp", "net.onnx")
    assert said.code == 2
    assert "pip install 'infomcr[onnx]'" in said.err


def test_onnx_gives_the_same_numbers(command_line: CommandLine) -> None:
    pytest.importorskip("tf2onnx")
    runtime = pytest.importorskip("onnxruntime")
    model, dataset = run_of("runs/wrn", NETWORKS["wrn"])
    answer(command_line, "export", "runs/wrn", "net.onnx")
    session = runtime.InferenceSession("net.onnx")
    given = {session.get_inputs()[0].name: dataset.test.images.astype(np.float32)}
    expected = keras.ops.convert_to_numpy(model(dataset.standardise(dataset.test.images), training=False))
    assert np.abs(session.run(None, given)[0] - expected).max() < 1e-5 * np.abs(expected).max()
    assert session.get_modelmeta().custom_metadata_map["class_names"] == json.dumps(list(dataset.class_names))


def _lists() -> keras.Model:
    given = [keras.Input((3,), name="left"), keras.Input((4,), name="right")]
    hidden = keras.layers.Dense(5, activation="gelu")(keras.layers.Concatenate()(given))
    return keras.Model(given, keras.layers.Dense(3)(hidden))


def _positions() -> keras.Model:
    words = keras.Input((6,), name="words", dtype="int32")
    hidden = keras.layers.Embedding(9, 4)(words) + keras.ops.arange(4, dtype="float32")
    return keras.Model(words, keras.layers.Dense(3)(keras.layers.GRU(5)(hidden)))


def _half() -> keras.Model:
    layers = [keras.layers.Dense(3, dtype="mixed_bfloat16"), keras.layers.Activation("linear", dtype="float32")]
    return keras.Sequential([keras.Input((4,), name="x"), *layers])


ONNX: dict[str, tuple[Callable[[], keras.Model], dict[str, Any]]] = {
    "several inputs and a GELU": (_lists, {"left": np.ones((2, 3), np.float32), "right": np.ones((2, 4), np.float32)}),
    "a constant in the graph and a loop": (_positions, {"words": np.arange(12, dtype=np.int32).reshape(2, 6) % 9}),
    "half precision": (_half, {"x": np.linspace(0, 1, 8, dtype=np.float32).reshape(2, 4)}),
}


@pytest.mark.parametrize("name", ONNX)
def test_onnx_has_the_inputs_of_the_network_and_gives_its_logits_in_full_precision(name: str) -> None:
    pytest.importorskip("tf2onnx")
    runtime = pytest.importorskip("onnxruntime")
    from infomcr_cli.exchange.onnx_file import onnx_model
    from infomcr_cli.models.keras_internals import full_precision

    make, given = ONNX[name]
    model = make()
    session = runtime.InferenceSession(onnx_model(model).SerializeToString())
    assert [one.name for one in session.get_inputs()] == list(given)
    with full_precision(model):
        expected = model(list(given.values()) if len(given) > 1 else next(iter(given.values())), training=False)
    assert np.abs(session.run(["logits"], given)[0] - np.asarray(expected)).max() < 1e-5


def test_what_onnx_cannot_express_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("tf2onnx")
    from infomcr_cli.exchange.onnx_file import onnx_model

    layers = [keras.layers.Rescaling(0.5, dtype="bfloat16"), keras.layers.Dense(3, dtype="bfloat16")]
    with pytest.raises(InputError, match="operations of ONNX"):
        onnx_model(keras.Sequential([keras.Input((4,)), *layers]))


def test_a_network_with_layers_of_the_users_own_is_exported_with_a_note(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_layers.py").write_text(
        "import keras\n"
        "class Twice(keras.layers.Layer):\n"
        "    def call(self, x):\n"
        "        return 2 * x\n"
        "def build(*, input_shape, num_classes, l2):\n"
        "    layers = [keras.layers.Flatten(), Twice(), keras.layers.Dense(num_classes)]\n"
        "    return keras.Sequential([keras.Input(input_shape), *layers])\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    builder = ("model=builder", "model.builder=own_layers:build")
    run_of("runs/own", builder)
    document = answer(command_line, "export", "runs/own", "net.keras", "model.builder=own_layers:build")
    assert "Twice" in document["notes"][0]


def test_an_imported_run_is_exported_as_it_came(command_line: CommandLine, tmp_path: Path) -> None:
    small_file(tmp_path / "in.keras")
    answer(command_line, "import", "in.keras", *SMALL, "--run-dir", "runs/in")
    answer(command_line, "export", "runs/in", "out.keras")
    images = np.random.default_rng(0).integers(0, 256, (9, 8, 8, 1)).astype(np.float32)
    probabilities = keras.saving.load_model("in.keras")(images)
    logits = keras.saving.load_model("out.keras")(images)
    assert np.allclose(keras.ops.softmax(logits), probabilities, atol=SINGLE)


def test_a_subclassed_network_without_a_description_is_exported_to_other_formats(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_subclass.py").write_text(
        "import keras\n"
        "class Net(keras.Model):\n"
        "    def __init__(self, units):\n"
        "        super().__init__()\n"
        "        self.flat, self.dense = keras.layers.Flatten(), keras.layers.Dense(units)\n"
        "    def call(self, x):\n"
        "        return self.dense(self.flat(x))\n"
        "def build(*, input_shape, num_classes, l2):\n"
        "    return Net(num_classes)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    builder = "model.builder=own_subclass:build"
    model, dataset = run_of("runs/own", ("model=builder", builder))
    said = command_line("export", "runs/own", "net.keras", builder)
    assert said.code == 2
    assert "get_config()" in said.err
    answer(command_line, "export", "runs/own", "served", builder)
    import tensorflow as tf

    images = dataset.test.pixels
    expected = keras.ops.convert_to_numpy(model(dataset.standardise(images), training=False))
    loaded = tf.saved_model.load("served")  # its variables live as long as it does
    found = loaded.serve(tf.constant(images, tf.float32)).numpy()
    assert np.abs(found - expected).max() <= 1e-6 * np.abs(expected).max()
