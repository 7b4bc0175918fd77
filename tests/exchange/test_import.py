"""What `infomcr import` makes of a file and of the settings that go with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import yaml
from archives import small_file
from cli import CommandLine
from tolerances import AUTODIFF, SINGLE

from infomcr_cli.config.compose import compose_run
from infomcr_cli.data import load_dataset
from infomcr_cli.experiment.recorded_settings import recorded_run
from infomcr_cli.models import build_model, named_weights
from infomcr_cli.runs import RunDirectory, load_checkpoint, read_status
from infomcr_cli.runs.identity import identity

FEW = ("data.train_size=64", "data.test_size=64", "tracking=off")
MLP = ("model=mlp", "model.depth=1", "model.width=4")
layers = keras.layers


def answer(command_line: CommandLine, *arguments: str) -> Any:
    given = command_line(*arguments, "--json")
    assert given.code == 0, given.err
    return json.loads(given.out)


def mlp() -> keras.Model:
    keras.utils.set_random_seed(5)
    return build_model("mlp", input_shape=(8, 8, 1), num_classes=10, depth=1, width=4)


def test_a_run_directory_says_what_is_known_and_nothing_else(command_line: CommandLine, tmp_path: Path) -> None:
    small_file(tmp_path / "net.keras")
    answer(command_line, "import", "net.keras", *FEW, "--set", "rate=0.1", "--set", "seed=4", "seed=9")
    run = RunDirectory.open("runs/net")
    settings = yaml.safe_load(run.read_config())
    assert settings["model"]["name"] == "imported"
    assert settings["data"]["scaling"] == "raw"
    assert settings["imported"]["settings"] == {"rate": 0.1, "seed": 4}
    assert not {"optimizer", "schedule", "augment", "reg", "precision"} & settings.keys()
    assert "batch_size" not in settings["data"]
    config = recorded_run(settings)
    assert identity(config) == read_status(run).identity
    assert [line["step"] for line in map(json.loads, run.metrics.read_text().splitlines())] == [1]
    assert not list(tmp_path.rglob("*.tmp"))


def test_other_weights_and_other_settings_have_another_identity(command_line: CommandLine, tmp_path: Path) -> None:
    small_file(tmp_path / "net.keras")
    model = keras.saving.load_model(tmp_path / "net.keras")
    model.layers[-1].bias.assign(np.ones(10))
    model.save(tmp_path / "other.keras")
    for name, arguments in {"a": ("net.keras",), "b": ("net.keras", "--set", "x=1"), "c": ("other.keras",)}.items():
        answer(command_line, "import", *arguments, *FEW, "--run-dir", f"runs/{name}")
    answer(command_line, "import", "net.keras", *FEW, "--run-dir", "runs/d")
    a, b, c, d = (read_status(RunDirectory.open(f"runs/{name}")).identity for name in "abcd")
    assert a == d
    assert len({a, b, c}) == 3


def test_a_settings_name_of_ours_joins_that_axis(command_line: CommandLine, tmp_path: Path) -> None:
    from infomcr_cli.report.axes import flatten, weight_settings

    small_file(tmp_path / "net.keras")
    answer(command_line, "import", "net.keras", *FEW, "--set", "optimizer.learning_rate=0.5", "--set", "seed=4")
    known = weight_settings(flatten(yaml.safe_load(RunDirectory.open("runs/net").read_config())))
    assert known["optimizer.learning_rate"] == 0.5
    assert known["seed"] == 4
    assert not [name for name in known if "weights" in name or "architecture" in name or name.startswith("imported")]


def test_settings_that_came_later_leave_older_runs_what_they_were() -> None:
    from infomcr_cli.config.yaml_text import to_yaml
    from infomcr_cli.report.axes import flatten, weight_settings
    from infomcr_cli.runs.identity import identity_settings

    config = compose_run([])
    assert "scaling" not in identity_settings(config)["data"]
    assert "imported" not in identity_settings(config)
    assert b"imported" not in to_yaml(config)
    assert "data.scaling" not in weight_settings(flatten(yaml.safe_load(to_yaml(config))))
    assert identity(compose_run(["data.scaling=unit"])) != identity(config)


@pytest.mark.parametrize("kind", [".weights.h5", ".safetensors", ".safetensors by path"])
def test_weights_alone_go_into_a_network_of_the_catalogue(command_line: CommandLine, tmp_path: Path, kind: str) -> None:
    from safetensors.numpy import save_file

    model, name = mlp(), f"net{kind.split()[0]}"
    if kind == ".weights.h5":
        model.save_weights(name)
    else:
        by = {v.path: v for v in model.weights} if "by path" in kind else named_weights(model)
        save_file({key: np.asarray(variable) for key, variable in by.items()}, name)
    made = answer(command_line, "import", name, *MLP, *FEW, "data.scaling=standardised")["runs"][0]
    assert made["scaling"] == "standardised"
    held = load_checkpoint(RunDirectory.open("runs/net")).weights
    assert all(np.array_equal(held[key], variable) for key, variable in named_weights(model).items())
    evaluated = answer(command_line, "eval", "runs/net", "measure.names=[parameter_count]")["runs"][0]
    assert evaluated["train"] == pytest.approx(made["train"])


def test_weights_before_training_may_be_a_file_of_weights(command_line: CommandLine, tmp_path: Path) -> None:
    small_file(tmp_path / "net.keras")
    model = keras.saving.load_model(tmp_path / "net.keras")
    model.layers[-1].bias.assign(np.full(10, 3.0))
    model.save_weights("before.weights.h5")
    answer(command_line, "import", "net.keras", *FEW, "--initial", "before.weights.h5")
    names = ("measure.names=[distance_from_initialization]",)
    measures = answer(command_line, "eval", "runs/net", *names)["runs"][0]["measures"]
    assert measures["distance_from_initialization"]["value"] == pytest.approx(np.sqrt(90.0), rel=SINGLE)
    every = answer(command_line, "eval", "runs/net", "measure.names=[parameter_count]", "--checkpoint", "all")["runs"]
    assert [one["checkpoint"] for one in every] == ["initial", "imported"]
    assert load_checkpoint(RunDirectory.open("runs/net"), "best").step == 1


def test_weights_before_training_of_another_network_are_refused(command_line: CommandLine, tmp_path: Path) -> None:
    small_file(tmp_path / "net.keras")
    keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(11)]).save(tmp_path / "other.keras")
    said = command_line("import", "net.keras", *FEW, "--initial", "other.keras")
    assert said.code == 2
    assert "of the same network" in said.err
    assert not (tmp_path / "runs").exists()


def test_a_scale_under_which_more_predictions_are_right_is_suggested(command_line: CommandLine, tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels, labels = np.round(digits.images * 15.9375).astype(np.uint8), digits.target
    np.savez("mine.npz", x_train=pixels[:900], y_train=labels[:900], x_test=pixels[900:], y_test=labels[900:])
    keras.utils.set_random_seed(0)
    stack = [layers.Flatten(), layers.Dense(32, activation="tanh"), layers.Dense(10, activation="softmax")]
    model = keras.Sequential([keras.Input((8, 8, 1)), *stack])
    model.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
    model.fit(pixels[:900, ..., None] / 127.5 - 1, labels[:900], epochs=4, verbose=0)
    model.save("net.keras")
    data = ("data=npz", "data.root=mine.npz", "tracking=off")
    said = command_line("import", "net.keras", *data)
    assert said.code == 0
    assert "With data.scaling=symmetric" in said.err
    made = answer(command_line, "import", "net.keras", *data, "data.scaling=symmetric", "--run-dir", "runs/right")
    assert made["runs"][0]["hint"] is None
    assert made["runs"][0]["train"]["accuracy"] > 0.9


BAD = {
    "nothing": ((), "import needs a model file"),
    "a training's setting": (("net.keras", "optimizer.learning_rate=0.1"), "--set optimizer.learning_rate=0.1"),
    "a training's batch": (("net.keras", "data.batch_size=8"), "--set data.batch_size=8"),
    "a model for a whole file": (("net.keras", "model=wrn"), "contains its layers"),
    "weights without a model": (("net.weights.h5",), "needs the network"),
    "a place that is taken": (("net.keras", "--run-dir", "taken"), "already exists"),
    "a place for two": (("net.keras", "two.keras", "--run-dir", "r"), "--run-dir can be used with one file only"),
    "weights before training for two": (
        ("net.keras", "two.keras", "--initial", "net.keras"),
        "can be used with one file only",
    ),
    "an unknown scale": (("net.keras", "data.scaling=half"), "data.scaling must be one of its values"),
    "data that is missing": (("net.keras", "data=npz", "data.root=none.npz"), "and exist"),
    "too few classes": (("few.keras",), "one logit per class"),
    "images of another size": (("large.keras",), "fit the inputs of the network"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_exits_2_and_makes_no_run(command_line: CommandLine, tmp_path: Path, name: str) -> None:
    small_file(tmp_path / "net.keras")
    small_file(tmp_path / "two.keras")
    mlp().save_weights(tmp_path / "net.weights.h5")
    if name in ("too few classes", "images of another size"):
        shape, classes, file = ((8, 8, 1), 4, "few") if name == "too few classes" else ((9, 9, 1), 10, "large")
        stack = [layers.Flatten(), layers.Dense(classes)]
        keras.Sequential([keras.Input(shape), *stack]).save(tmp_path / f"{file}.keras")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "x").touch()
    before = sorted(tmp_path.rglob("*"))
    arguments, rule = BAD[name]
    said = command_line("import", *arguments, "tracking=off", "--json")
    assert said.code == 2, said.err
    assert rule in said.err
    assert said.out == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_two_files_of_one_name_are_two_runs(command_line: CommandLine, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        small_file(tmp_path / folder / "net.keras")
    made = answer(command_line, "import", "?/net.keras", *FEW, "runs_dir=mine")["runs"]
    assert [Path(one["run"]).name for one in made] == ["net", "net-2"]


def test_a_file_that_does_not_fit_is_named_with_the_runs_made_before_it(
    command_line: CommandLine, tmp_path: Path
) -> None:
    small_file(tmp_path / "a.keras")
    keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(3)]).save(tmp_path / "b.keras")
    said = command_line("import", "a.keras", "b.keras", *FEW)
    assert said.code == 2
    assert "b.keras cannot be imported: a network must output one logit per class" in said.err
    assert f"Imported before it: {tmp_path / 'runs' / 'a'}" in said.err


def test_weights_that_are_not_finite_are_refused(command_line: CommandLine, tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(10)])
    model.layers[-1].kernel.assign(np.full((64, 10), np.nan))
    model.save(tmp_path / "a.keras")
    said = command_line("import", "a.keras", *FEW)
    assert said.code == 2
    assert "losses must be finite" in said.err


def test_a_network_of_mixed_precision_is_measured_and_exported_in_full_precision(
    command_line: CommandLine, tmp_path: Path
) -> None:
    ends = [layers.Flatten(), layers.Dense(10, dtype="mixed_bfloat16"), layers.Activation("linear", dtype="float32")]
    model = keras.Sequential([keras.Input((8, 8, 1)), *ends])
    model.save(tmp_path / "half.keras")
    made = answer(command_line, "import", "half.keras", *FEW)["runs"][0]
    answer(command_line, "export", "runs/half", "full.keras")
    kernel, bias = (np.asarray(weight, np.float64) for weight in model.get_weights())
    data = load_dataset(compose_run([*FEW, "data.scaling=raw"]).data, seed=0)
    logits = data.test.pixels.reshape(len(data.test), -1) @ kernel + bias
    exported = keras.saving.load_model("full.keras")(data.test.pixels.astype(np.float32))
    assert np.abs(exported - logits).max() <= 1e-6 * np.abs(logits).max()
    losses = np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1)) + logits.max(1)
    truth = np.mean(losses - logits[np.arange(len(logits)), data.test.labels])
    assert made["test"]["loss"] == pytest.approx(truth, rel=AUTODIFF)


@pytest.mark.parametrize("setting", ["data.batch_size=4", "data.validation_size=10", "optimizer.learning_rate=0.1"])
def test_a_setting_of_a_training_is_refused_with_the_way_to_record_it(
    command_line: CommandLine, tmp_path: Path, setting: str
) -> None:
    small_file(tmp_path / "net.keras")
    said = command_line("import", "net.keras", *FEW, setting)
    assert said.code == 2
    assert f"--set {setting}" in said.err


@pytest.mark.parametrize("state", ["FINISHED", "RUNNING"])
def test_an_imported_run_is_not_resumed_even_if_its_import_was_killed(
    command_line: CommandLine, tmp_path: Path, state: str
) -> None:
    mlp().save_weights(tmp_path / "net.weights.h5")
    answer(command_line, "import", "net.weights.h5", *MLP, *FEW)
    status = tmp_path / "runs" / "net" / "status.json"
    status.write_text(status.read_text().replace("FINISHED", state))
    refused = command_line("train", "--resume", "runs/net")
    assert refused.code == 2
    assert "an imported run was trained elsewhere" in refused.err
