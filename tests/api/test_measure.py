"""`measure`, `judge` and `load_run` give what the commands `eval` and `judge` give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from tolerances import AUTODIFF, FLOAT32, SINGLE

from infomcr_cli import RegularizedModel, gamma, gram_matrix, judge, load_run, log_volume, measure
from infomcr_cli.errors import InputError
from infomcr_cli.measures.base import chosen_measures
from tests.conftest import CommandLine

L = keras.layers
SIZES = ("data=digits", "data.train_size=128", "data.test_size=64", "data.batch_size=32", "schedule.epochs=2")
SMALL = (*SIZES, "model=mlp", "model.depth=1", "model.width=32", "tracking=off", "deterministic=false")
SETTINGS = {"gamma.draws": 2, "gamma.draw_size": 20, "gamma.samples": 100, "samples": 64}
MEASURE = tuple(f"measure.{name}={value}" for name, value in SETTINGS.items())


def test_a_loaded_run_gives_what_eval_gives(command_line: CommandLine) -> None:
    assert command_line("train", *SMALL, "--run-dir", "runs/a").code == 0
    answer = command_line("eval", "runs/a", "measure=standard", *MEASURE, "--json")
    document = json.loads(answer.out)["runs"][0]
    run = load_run("runs/a")
    assert run.config.model.name == "mlp"
    assert list(run.metrics["epoch"]) == [1, 2]
    assert {"train/loss", "test/accuracy", "learning_rate"} <= set(run.metrics.columns)
    assert run.measures == document["measures"]
    assert run.evaluations["last"]["gap"] == document["gap"]
    assert run.checkpoints
    model, train, test = run.model(), run.arrays("train"), run.arrays("test")
    pixels = np.arange(64).reshape(8, 8, 1)
    for kind in (np.int64, np.uint16, np.float64):  # not taken for tokens
        assert np.array_equal(run.standardise(pixels.astype(kind)), run.standardise(pixels.astype(np.uint8)))
    start = load_run(Path("runs/a")).model(run.checkpoints[0])
    assert not np.array_equal(start.get_weights()[0], model.get_weights()[0])

    found = measure(model, train, test, settings=SETTINGS, initial=run.initial_weights())
    for name, entry in document["measures"].items():
        if entry["value"] is None:
            assert found[name]["reason"] == entry["reason"], name
        else:
            assert found[name]["value"] == pytest.approx(entry["value"], rel=AUTODIFF), name
        assert found[name]["convention"] == entry["convention"], name
    assert found["gap_error"]["value"] == pytest.approx(document["gap"]["error"])
    assert found["test_loss"]["value"] == pytest.approx(document["test"]["loss"])
    errors = np.mean(np.argmax(model.predict(test[0], verbose=0), -1) != test[1])
    assert found["test_error"]["value"] == pytest.approx(errors)
    assert found["test_error"]["std_error"] == pytest.approx(np.sqrt(errors * (1 - errors) / 64))

    assert found["distance_from_initialization"]["value"] is not None
    value = gamma(model, *train, draws=2, draw_size=20)
    assert value.value == pytest.approx(document["measures"]["gamma"]["value"], rel=SINGLE)
    assert list(value.draws) == pytest.approx(document["measures"]["gamma"]["draws"], rel=SINGLE)
    assert list(value.rank) == document["measures"]["gamma"]["rank"]


def test_a_run_that_is_none_or_is_changed_is_refused(command_line: CommandLine) -> None:
    assert command_line("train", *SMALL, "--run-dir", "runs/a").code == 0
    assert load_run("runs/a").measures == {}
    for path, overrides, message in (
        ("runs/b", (), "a run must be a directory"),
        ("runs/a", ["seed=5"], "settings that determined its weights"),
        ("runs/a", "nonsense=1", "has no such setting"),
    ):
        with pytest.raises(InputError, match=message):
            load_run(path, overrides)
    run = load_run("runs/a")
    with pytest.raises(InputError, match=r"a checkpoint must exist; got 'first'"):
        run.model("first")
    with pytest.raises(InputError, match="a split must be known"):
        run.arrays("tset")
    with pytest.raises(InputError, match="no validation split"):
        run.arrays("validation")


NET = """
import keras
print("another program's line")
def net(input_shape, num_classes, l2):
    return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(num_classes)])
"""


def test_a_function_that_a_run_directory_names_is_not_called(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import sys

    monkeypatch.setattr(sys, "path", list(sys.path))
    module = f"net_{tmp_path.name.replace('-', '_')}"
    Path(f"{module}.py").write_text(NET)
    own = ("model=builder", f"model.builder={module}:net")
    trained = (*SIZES, *own, "tracking=off", "deterministic=false")
    assert command_line("train", *trained, "--run-dir", "theirs").code == 0
    monkeypatch.setenv("INFOMCR_STATE", str(tmp_path / "another user"))
    sys.modules.pop(module)
    with pytest.raises(InputError, match=r"model\.builder must be given on the command line"):
        load_run("theirs").model()
    assert module not in sys.modules
    assert load_run("theirs", [own[1]]).model().count_params() == 650


def vectors(count: int = 60) -> tuple[dict[str, np.ndarray], np.ndarray]:
    rng = np.random.default_rng(0)
    tokens, numbers = rng.integers(0, 9, (count, 4)), rng.standard_normal((count, 3)).astype(np.float32)
    return {"tokens": tokens, "numbers": numbers}, rng.integers(0, 3, count)


def two_inputs() -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = {"tokens": keras.Input((4,), dtype="int32", name="tokens"), "numbers": keras.Input((3,), name="numbers")}
    words = L.GlobalAveragePooling1D()(L.Embedding(9, 5)(inputs["tokens"]))
    return keras.Model(inputs, L.Dense(3)(L.Dense(6, "relu")(L.Concatenate()([words, inputs["numbers"]]))))


def test_any_model_has_a_value_or_a_reason_for_every_measure() -> None:
    model, train = two_inputs(), vectors()
    before = [np.array(v) for v in model.variables]
    settings = {"gamma.draws": 2, "gamma.draw_size": 10, "samples": 30, "curvature.probes": 2, "noise.draws": 2}
    found = measure(model, train, names="all", settings={**settings, "sharpness.iterations": 2})
    assert found.keys() == {one.name for one in chosen_measures("all")}
    for name, entry in found.items():
        assert (entry["value"] is None) == ("reason" in entry), name
        assert entry["unit"] is not None
        assert not entry.get("error"), (name, entry)
    assert found["gamma"]["value"] is not None
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(train[1], model(train[0]))
    assert found["train_loss"]["value"] == pytest.approx(float(loss), rel=AUTODIFF)
    json.dumps(found, allow_nan=False)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_too_few_samples_for_a_draw_are_the_reason_of_its_measures_alone() -> None:
    found = measure(two_inputs(), vectors(), names=["gamma", "margin"], settings={"samples": 30})
    assert "draw_size must not exceed" in found["gamma"]["reason"]
    assert found["margin"]["value"] is not None


@pytest.mark.parametrize("form", ["arrays", "names", "model", "regularized"])
def test_weights_before_training_are_taken_in_every_form(form: str) -> None:
    from infomcr_cli.models import named_weights

    model, start = two_inputs(), two_inputs()
    model.set_weights([w + 0.5 for w in model.get_weights()])
    initial = {
        "arrays": start.get_weights(),
        "names": {name: np.array(v) for name, v in named_weights(start).items()},
        "model": start,
        "regularized": RegularizedModel(start),
    }[form]
    name = "distance_from_initialization"
    found = measure(model, vectors(), names=name, initial=initial)[name]
    assert found["value"] == pytest.approx(0.5 * np.sqrt(model.count_params()), rel=AUTODIFF)
    assert "reason" in measure(model, vectors(), names=name)[name]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": "gama"}, r"suite or known measures; got 'gama'.*Did you mean 'gamma'"),
        ({"names": []}, "names must name at least one measure"),
        ({"settings": {"gamma.drws": 3}}, "settings must contain only settings of measures; got 'gamma.drws'"),
        ({"settings": {"gamma.draws": 0}}, "gamma.draws must be at least 1"),
        ({"settings": {"names": "all"}}, "settings must contain only settings of measures"),
        ({"initial": [np.zeros(3)]}, "initial must be what model.get_weights"),
        ({"train": vectors()[0]}, r"train must be a pair of arrays \(x, y\)"),
        ({"test": (vectors()[0], vectors()[1] + 5)}, r"labels of test must be 0\.\.2"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"names": None}, "names must be a suite, a measure or a list"),
        ({"settings": {"gamma.draws": {1}}}, "settings must contain plain numbers"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        measure(two_inputs(), **{"train": vectors(), "names": "margin", **options})


def test_settings_may_be_numbers_of_numpy() -> None:
    settings = {"gamma.draw_size": np.int64(10), "gamma.target_se": np.float32(0.5)}
    found = measure(two_inputs(), vectors(), names="gamma", settings=settings)["gamma"]
    assert found["convention"]["draw_size"] == 10


@pytest.mark.parametrize(
    "second", [np.float32, lambda x: x.astype(np.float32)[:, ::2, ::2]], ids=["another type", "another shape"]
)
def test_the_same_network_on_samples_of_another_kind_is_measured_anew(second: Any) -> None:
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (20, 8, 8, 1)).astype(np.uint8), np.arange(20) % 3
    other = second(images) + np.float32(0.5)
    keras.utils.set_random_seed(3)
    x = keras.Input((None, None, 1))
    features = L.GlobalAveragePooling2D()(L.Conv2D(4, 3, activation="tanh")(L.Rescaling(1 / 255)(x)))
    model = keras.Model(x, L.Dense(3)(features))
    settings = {"gamma.draws": 1, "gamma.draw_size": 5}
    before = measure(model, (images, labels), names="gamma", settings=settings)["gamma"]["draws"]
    found = measure(model, (other, labels), names="gamma", settings=settings)["gamma"]["draws"]
    assert before == [pytest.approx(log_volume(gram_matrix(model, images[:5], labels[:5])), rel=FLOAT32)]
    assert found == [pytest.approx(log_volume(gram_matrix(model, other[:5], labels[:5])), rel=FLOAT32)]


def test_a_gradient_that_is_not_finite_is_the_reason() -> None:
    model = keras.Sequential([keras.Input((4,)), L.Dense(3, activation=lambda x: keras.ops.sqrt(keras.ops.relu(x)))])
    x, y = np.random.default_rng(0).standard_normal((20, 4)), np.arange(20) % 3
    entry = measure(model, (x, y), names="gamma", settings={"gamma.draw_size": 10})["gamma"]
    assert entry["value"] is None
    assert "gradients of a measured model must be finite" in entry["reason"]
    assert "error" not in entry


def test_probabilities_are_refused_as_on_the_command_line() -> None:
    model = keras.Sequential([keras.Input((4,)), L.Dense(3, "softmax")])
    with pytest.raises(InputError, match="logits, not probabilities"):
        measure(model, (np.random.default_rng(0).standard_normal((20, 4)), np.arange(20) % 3), names="margin")


def table() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    grid = pd.MultiIndex.from_product([[0.1, 0.2, 0.3], [16, 32, 64], [0, 1]], names=["lr", "batch", "seed"])
    frame = grid.to_frame(index=False)
    frame["gap"] = 0.1 * frame["lr"] + 0.001 * frame["batch"] + 0.01 * rng.random(len(frame))
    frame["gamma"] = frame["gap"] + 0.02 * rng.random(len(frame))
    frame["other measure"] = rng.random(len(frame))
    frame.loc[3, "other measure"] = np.nan
    frame["kind"] = "sgd"
    return frame


@pytest.mark.parametrize("options", [{}, {"measures": ["gamma"], "n_test": 500}], ids=str)
def test_judge_gives_the_document_of_the_command(
    command_line: CommandLine, tmp_path: Path, options: dict[str, Any]
) -> None:
    table().to_csv("t.csv", index=False)
    words = [f"--measures={','.join(options['measures'])}", "--n-test=500"] if options else []
    answer = command_line("judge", "t.csv", "--gap", "gap", "--axes", "lr,batch", *words, "--json")
    assert answer.code == 0, answer.err
    frame = pd.read_csv("t.csv", float_precision="round_trip")
    assert judge(frame, gap="gap", axes=["lr", "batch"], **options) == json.loads(answer.out)
    assert judge(table(), gap="gap", axes=("lr", "batch"), **options) == json.loads(answer.out)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gap": "gpa"}, "the gap must be a column of the table; got 'gpa'"),
        ({"axes": []}, "axes must name at least one column"),
        ({"axes": ["lr", "lr"]}, "must be different columns; got 'lr'"),
        ({"frame": {"gap": [1]}}, r"frame must be a pandas.DataFrame; got 'dict'"),
        ({"n_test": 0}, "n_test|n-test"),
        ({"n_test": "100"}, "n_test must be a whole number; got '100'"),
        ({"n_test": 100.5}, "n_test must be a whole number; got 100.5"),
        ({"n_test": True}, "n_test must be a whole number"),
    ],
    ids=str,
)
def test_judge_refuses_what_it_cannot_rank(options: dict[str, Any], message: str) -> None:
    given = {"frame": table(), "gap": "gap", "axes": ["lr", "batch"], **options}
    with pytest.raises(InputError, match=message):
        judge(given.pop("frame"), **given)


def test_judge_takes_numbers_of_numpy_and_columns_named_by_numbers() -> None:
    expected = judge(table(), gap="gap", axes=["lr", "batch"], n_test=500)
    assert judge(table(), gap="gap", axes=["lr", "batch"], n_test=np.int64(500)) == expected
    unnamed = pd.DataFrame({0: [0.1, 0.2, 0.3], 1: [1, 2, 3], 2: [4.0, 5.0, 6.0]})
    assert judge(unnamed, gap=0, axes=[1], measures=[2])["measures"]["2"]["kendall_tau"]["value"] == 1.0  # type: ignore[arg-type, list-item]


def test_one_axis_may_be_given_as_a_word() -> None:
    assert judge(table(), gap="gap", axes="lr") == judge(table(), gap="gap", axes=["lr"])


def test_test_samples_that_cannot_be_scored_are_refused_before_the_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_early(*arguments: Any) -> Any:
        raise AssertionError("measured")

    monkeypatch.setattr("infomcr_cli.api.measure.evaluate_measures", too_early)
    model = keras.Sequential([keras.Input([4]), L.Dense(3)])
    train = np.ones((6, 4), "float32"), np.arange(6) % 3
    with pytest.raises(InputError, match="labels of test"):
        measure(model, train, (train[0], np.full(6, 3)), names=["train_loss"])


class Counting(L.Layer):
    """Counts its calls, at inference too."""

    def build(self, shape: Any) -> None:
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, inputs: Any) -> Any:
        self.calls.assign(self.calls + 1)
        return inputs


def test_measuring_leaves_what_layers_count_as_it_is() -> None:
    model = keras.Sequential([keras.Input([4]), Counting(), L.Dense(3)])
    before = [np.array(variable) for variable in model.variables]
    x, y = np.random.default_rng(0).normal(size=(20, 4)), np.arange(20) % 3
    measure(model, (x, y), (x, y), names=["gamma", "train_loss", "sharpness"], settings={"gamma.draw_size": 5})
    gamma(model, x, y, draw_size=5)
    assert all((one == np.array(other)).all() for one, other in zip(before, model.variables, strict=True))


def test_eval_mirrors_nothing_with_tracking_off_and_nowhere_else(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tracked = [word for word in SMALL if word != "tracking=off"]
    assert command_line("train", *tracked, "--run-dir", "runs/a").code == 0
    mirrored: list[str] = []
    monkeypatch.setattr("infomcr_cli.tracking.mirror_results.mirror_results", lambda run: mirrored.append(run.name))
    few = ("runs/a", "measure.names=[parameter_count]", *MEASURE)
    assert command_line("eval", *few, "tracking=off").code == 0
    assert mirrored == []
    assert command_line("eval", *few).code == 0
    assert mirrored == ["a"]
    answer = command_line("eval", *few, f"tracking.uri=sqlite:///{tmp_path}/other.db")
    assert (answer.code, "infomcr sync" in answer.err) == (2, True)
    assert not (tmp_path / "other.db").exists()
