"""Networks of plain Keras through the whole loop: imported, measured, compared, exported, loaded without infomcr."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import yaml
from cli import CommandLine
from other_processes import Trained
from tolerances import FLOAT32, SINGLE, STOCHASTIC

from infomcr_cli.measures.draws import disjoint_draws

NAMES = "measure.names=[gamma,parameter_count,distance_from_initialization]"
FAST = (NAMES, "measure.gamma.samples=60", "measure.gamma.draws=3", "measure.gamma.draw_size=20")


def answer(command_line: CommandLine, *arguments: str) -> Any:
    given = command_line(*arguments, "--json")
    assert given.code == 0, given.err
    return json.loads(given.out)


def logits_model(path: Path) -> keras.Model:
    """The file as Keras loads it, its softmax left out by hand."""
    model = keras.saving.load_model(path)
    model.layers[-1].activation = keras.activations.linear
    return model


def gamma_of_draw(model: keras.Model, images: Any, labels: Any) -> float:
    """One ordinary gradient a sample; then ½ ln det of the Gram matrix, scaled to a unit diagonal."""
    import tensorflow as tf

    rows = []
    for image, label in zip(images, labels, strict=True):
        with tf.GradientTape() as tape:
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits([label], model(image[None], training=False))
        parts = tape.gradient(loss, [v.value for v in model.trainable_variables])
        rows.append(np.concatenate([np.ravel(part) for part in parts]).astype(np.float64))
    jacobian = np.stack(rows)
    lengths = np.linalg.norm(jacobian, axis=1)
    unit = jacobian / lengths[:, None]
    return float(np.log(lengths).sum() + 0.5 * np.linalg.slogdet(unit @ unit.T)[1])


def test_networks_of_plain_keras_are_measured_compared_and_given_back_to_plain_keras(
    command_line: CommandLine, trained: Trained, predictions: Any, tmp_path: Path
) -> None:
    table = str(trained.folder / "nets.csv")
    made = answer(command_line, "import", "--table", table, "--set", "momentum=0.9", *trained.data())["runs"]
    runs = {Path(run["run"]).name: run for run in made}
    assert sorted(runs) == ["quick", "slow", "wide"]
    for name, run in runs.items():
        _check_scores(run, trained.noted[name])
        assert run["state"] == "FINISHED"
        assert run["softmax_of"] == "dense" + {"slow": "", "quick": "_1", "wide": "_2"}[name]
    config = yaml.safe_load((tmp_path / "runs" / "wide" / "config.yaml").read_text())
    assert config["imported"]["settings"] == {"momentum": 0.9, "learning_rate": 0.003, "width": 8}
    assert "optimizer" not in config

    paths = [run["run"] for run in made]
    evaluated = {Path(one["run"]).name: one for one in answer(command_line, "eval", *paths, *FAST)["runs"]}
    for name in ("quick", "wide"):
        _check_measures(evaluated[name]["measures"], trained, name)

    compared = answer(command_line, "compare", *paths, "--no-tracking")
    assert {name: axis["values"] for name, axis in compared["axes"].items()} == {
        "learning_rate": ["0.0003", "0.003"],
        "width": ["4", "8"],
    }
    assert compared["n"] == 3
    assert {one["state"] for one in answer(command_line, "runs")["runs"]} == {"FINISHED"}

    answer(command_line, "export", "runs/wide", "out.keras")
    with np.load(trained.folder / "mine.npz") as arrays:
        images, labels = arrays["x_test"], arrays["y_test"]
    logits = predictions([{"name": "out", "file": "out.keras", "inputs": images}])["out"].astype(np.float64)
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]
    assert evaluated["wide"]["test"]["loss"] == pytest.approx(losses.mean(), rel=SINGLE)
    assert evaluated["wide"]["test"]["accuracy"] == np.mean(np.argmax(logits, axis=1) == labels)


def _check_scores(run: dict[str, Any], noted: dict[str, Any]) -> None:
    """Compare losses and accuracies with those that `keras.Model.evaluate` gave where the network was trained."""
    for split in ("train", "test"):
        assert run[split]["loss"] == pytest.approx(noted[split]["loss"], rel=FLOAT32)
        assert run[split]["accuracy"] == pytest.approx(noted[split]["accuracy"], abs=SINGLE)


def _check_measures(measures: dict[str, Any], trained: Trained, name: str) -> None:
    """Compare measures with one gradient a sample, and with the weights in the files."""
    model, before = (logits_model(trained.folder / f"{name}{suffix}.keras") for suffix in ("", "-before"))
    with np.load(trained.folder / "mine.npz") as arrays:
        images, labels = arrays["x_train"].astype(np.float32), arrays["y_train"]
    draws = disjoint_draws(labels, stored_order=True, samples=60, draw_size=20, draws=3)
    truth = [gamma_of_draw(model, images[draw], labels[draw]) for draw in draws]
    assert measures["gamma"]["value"] == pytest.approx(np.mean(truth), abs=STOCHASTIC)
    assert measures["parameter_count"]["value"] == sum(np.size(weight) for weight in model.trainable_weights)
    pairs = zip(model.trainable_weights, before.trainable_weights, strict=True)
    distance = np.sqrt(sum(float(np.sum((np.asarray(a) - np.asarray(b)) ** 2)) for a, b in pairs))
    assert measures["distance_from_initialization"]["value"] == pytest.approx(distance, rel=FLOAT32)


def test_without_its_initial_weights_a_network_has_no_distance_from_them(
    command_line: CommandLine, trained: Trained
) -> None:
    answer(command_line, "import", str(trained.folder / "quick.keras"), *trained.data(), "--run-dir", "runs/mine")
    evaluated = answer(command_line, "eval", "runs/mine", "measure.names=[distance_from_initialization]")["runs"][0]
    assert "--initial" in evaluated["measures"]["distance_from_initialization"]["reason"]


def test_an_exported_network_needs_no_infomcr(command_line: CommandLine, trained: Trained, predictions: Any) -> None:
    answer(command_line, "import", str(trained.folder / "wide.keras"), *trained.data(), "--run-dir", "runs/wide")
    for target in ("out.keras", "out.weights.h5", "out"):
        answer(command_line, "export", "runs/wide", target)
    with np.load(trained.folder / "mine.npz") as arrays:
        images, labels = arrays["x_test"], arrays["y_test"]
    jobs = [
        {"name": target, "file": target, "inputs": images, "architecture": "out.keras"}
        for target in ("out.keras", "out.weights.h5", "out")
    ]
    found = predictions(jobs)
    expected = logits_model(trained.folder / "wide.keras").predict(images, verbose=0, batch_size=100)
    for target in ("out.keras", "out.weights.h5", "out"):
        assert np.abs(found[target] - expected).max() <= 1e-6 * np.abs(expected).max()
        accuracy = np.mean(np.argmax(found[target], axis=1) == labels)
        assert accuracy == pytest.approx(trained.noted["wide"]["test"]["accuracy"], abs=SINGLE)
    assert found["out.keras classes"].tolist() == [str(digit) for digit in range(10)]


def test_an_import_is_mirrored_in_mlflow_as_any_run(command_line: CommandLine, trained: Trained) -> None:
    from mlflow.tracking import MlflowClient

    data = [one for one in trained.data() if one != "tracking=off"]
    answer(command_line, "import", str(trained.folder / "slow.keras"), *data, "--set", "learning_rate=0.0003")
    client = MlflowClient("sqlite:///mlflow/mlflow.db")
    experiment = client.get_experiment_by_name("infomcr")
    run = client.search_runs([experiment.experiment_id])[0]
    assert run.info.status == "FINISHED"
    assert run.data.params["imported.settings.learning_rate"] == "0.0003"
    assert "optimizer.learning_rate" not in run.data.params
    assert run.data.metrics["test/loss"] == pytest.approx(trained.noted["slow"]["test"]["loss"], rel=FLOAT32)
