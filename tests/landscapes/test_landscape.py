"""`infomcr landscape` against Keras's own `set_weights` and `evaluate`, and against itself."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from cli import infomcr
from tolerances import CLOSED_FORM, FLOAT32, ROUNDING, SINGLE

from infomcr_cli import load_run
from infomcr_cli.landscapes import surface as surface_module
from infomcr_cli.landscapes.folder import ResultFolder
from infomcr_cli.landscapes.minima import open_minima
from infomcr_cli.landscapes.network import LandscapeNetwork, open_network
from infomcr_cli.landscapes.surface import around, filter_length, random_directions
from infomcr_cli.landscapes.surface_plane import axes, mixed, plane_through
from infomcr_cli.runs import RunDirectory, load_weights


def landscape(folder: Path, *arguments: str) -> Any:
    answer = infomcr(("landscape", *arguments, "--json"), folder)
    assert answer.code == 0, answer.err
    return json.loads(answer.out)


def opened(folder: Path, name: str, samples: int | None = None) -> LandscapeNetwork:
    (one,) = open_minima([str(folder / "runs" / name)], "last", (), None, done="evaluated")
    return open_network(one.run, one.config, one.checkpoint, samples)


@pytest.fixture(scope="module")
def surfaces(three_runs: Path) -> Any:
    arguments = ("runs/a", "runs/b", "--dimensions", "2", "--points", "3", "--radius", "0.5", "--samples", "50")
    return landscape(three_runs, *arguments, "--out", "surfaces")


def test_values_are_those_of_set_weights_and_evaluate(three_runs: Path, surfaces: Any) -> None:
    """The weights of each point are built in Keras's order, filter by filter, and scored by Keras."""
    run = load_run(three_runs / "runs" / "a")
    model = run.model()
    # A metric, for the loss has the penalty of the weights in it.
    model.compile(metrics=[keras.metrics.SparseCategoricalCrossentropy(from_logits=True), "accuracy"])
    network = opened(three_runs, "a", 50)
    images, labels = next(iter(network.batches()))
    own = model.get_weights()
    trainable = [id(v) for v in model.trainable_variables]
    directions = []
    for index in range(2):
        generator = np.random.default_rng([0, index])
        drawn = {id(v): generator.standard_normal(v.shape) for v in model.trainable_variables}
        direction = []
        for variable, array in zip(model.weights, own, strict=True):
            d = np.zeros(array.shape)
            if id(variable) in trainable and array.ndim == 2:
                for column in range(array.shape[1]):
                    d[:, column] = drawn[id(variable)][:, column]
                    d[:, column] *= np.linalg.norm(array[:, column]) / np.linalg.norm(d[:, column])
            direction.append(d)
        directions.append(direction)
    for i, alpha in enumerate(surfaces["axes"]["first"]):
        for j, beta in enumerate(surfaces["axes"]["second"]):
            model.set_weights([w + alpha * a + beta * b for w, a, b in zip(own, *directions, strict=True)])
            _, loss, accuracy = model.evaluate(images, labels, batch_size=50, verbose=0)
            found = surfaces["runs"][0]["surface"]
            assert found["loss"][i][j] == pytest.approx(loss, rel=FLOAT32)
            assert found["error"][i][j] == pytest.approx(1 - accuracy, abs=SINGLE)


def test_the_centre_is_the_minimum_itself(surfaces: Any) -> None:
    for run in surfaces["runs"]:
        assert run["surface"]["loss"][1][1] == run["loss"]
        assert run["surface"]["error"][1][1] == run["error"]


def test_files_hold_the_same_values(surfaces: Any, three_runs: Path) -> None:
    with np.load(three_runs / "surfaces" / "values.npz") as kept:
        assert kept["loss"].tolist() == [run["surface"]["loss"] for run in surfaces["runs"]]
        assert kept["done"].all()
    assert json.loads((three_runs / "surfaces" / "landscape.json").read_text()) == surfaces
    for name in ("contours", "surfaces"):
        assert (three_runs / "surfaces" / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
        assert (three_runs / "surfaces" / f"{name}.svg").read_text().startswith("<?xml")
        assert "a: loss" in surfaces["pictures"][name]["alt"]


def test_a_reflected_direction_gives_the_reflected_curve(three_runs: Path) -> None:
    network = opened(three_runs, "a", 40)
    (direction,) = random_directions(network, 1, seed=3)
    forward, backward = (around(network, [sign * direction], renew=False) for sign in (1, -1))
    assert [forward(x, 0.0) for x in (-0.4, 0.0, 0.7)] == [backward(-x, 0.0) for x in (-0.4, 0.0, 0.7)]


def test_the_loss_curves_along_eigenvectors_as_their_eigenvalues_say(three_runs: Path) -> None:
    """On a network without rectifiers, whose kinks bend the loss too."""
    radius, network = 0.02, opened(three_runs, "linear", 60)
    arguments = ("runs/linear", "--directions", "hessian", "--dimensions", "2", "--points", "3", "--samples", "60")
    (run,) = landscape(three_runs, *arguments, "--radius", str(radius), "--out", "eigenvectors")["runs"]
    loss, length = np.array(run["surface"]["loss"]), filter_length(network)
    for along, value in ((loss[:, 1], run["eigenvalues"][0]), (loss[1], run["eigenvalues"][1])):
        assert (along[0] + along[2] - 2 * along[1]) / (radius * length) ** 2 == pytest.approx(value, rel=0.01)
    assert run["eigenvalues"][0] >= run["eigenvalues"][1] > 0
    assert not list((three_runs / "eigenvectors").glob(".*.safetensors"))


def test_a_linear_softmax_network_has_the_loss_of_the_closed_form(three_runs: Path) -> None:
    """Without hidden layers the loss is log-sum-exp of logits that are linear in the coordinates."""
    found = landscape(three_runs, "runs/linear", "--points", "5", "--samples", "60", "--out", "linear")
    network = opened(three_runs, "linear", 60)
    images, labels = next(iter(network.batches()))
    x = np.asarray(images, np.float64).reshape(60, -1)
    kernel, bias = (np.asarray(network.weights[name], np.float64) for name in network.trainable)
    (direction,) = random_directions(network, 1, seed=0)
    d = direction[: kernel.size].reshape(kernel.shape)
    for alpha, loss in zip(found["axes"]["first"], found["runs"][0]["surface"]["loss"], strict=True):
        z = x @ (kernel + alpha * d) + bias
        expected = np.mean(np.log(np.exp(z).sum(1)) - z[np.arange(60), labels])
        assert loss == pytest.approx(expected, rel=FLOAT32)


def test_renewed_statistics_are_those_of_the_samples_at_each_point(three_runs: Path) -> None:
    found = landscape(
        three_runs, "runs/a", "--points", "3", "--batch-statistics", "renew", "--samples", "50", "--out", "renewed"
    )
    model = load_run(three_runs / "runs" / "a").model()
    images, labels = next(iter(opened(three_runs, "a", 50).batches()))
    logits = np.asarray(model(images, training=True), np.float64)  # all samples are one batch; there is no dropout
    expected = np.mean(np.log(np.exp(logits).sum(1)) - logits[np.arange(50), labels])
    assert found["runs"][0]["surface"]["loss"][1] == pytest.approx(expected, rel=FLOAT32)
    assert found["runs"][0]["loss"] != pytest.approx(expected, rel=FLOAT32)


def test_a_stopped_command_continues_with_the_same_bits(three_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("runs/a", "--points", "7", "--samples", "40")
    whole = landscape(three_runs, *arguments, "--out", "whole")
    scored, real = [], surface_module.around

    def stops_after_three(*args: Any, **options: Any) -> Any:
        score = real(*args, **options)

        def limited(alpha: float, beta: float) -> Any:
            scored.append(alpha)
            if len(scored) > 5:  # two of them are for the forecast
                raise KeyboardInterrupt
            return score(alpha, beta)

        return limited

    with monkeypatch.context() as patched:
        patched.setattr("infomcr_cli.landscapes.landscape.around", stops_after_three)
        answer = infomcr(("landscape", *arguments, "--out", "stopped"), three_runs)
    assert answer.code == 130
    assert "again to continue" in answer.err
    with np.load(three_runs / "stopped" / "values.npz") as kept:
        assert kept["done"].sum() == 3
    assert not (three_runs / "stopped" / "landscape.json").exists()
    again = landscape(three_runs, *arguments, "--out", "stopped")
    assert again["runs"] == whole["runs"]


def test_a_complete_landscape_is_not_computed_again(three_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("runs/b", "--points", "3", "--samples", "40", "--out", "twice")
    first = landscape(three_runs, *arguments)
    monkeypatch.setattr("infomcr_cli.landscapes.landscape.compute_landscape", None)
    assert landscape(three_runs, *arguments) == first


def test_another_landscape_is_not_overwritten_unless_forced(three_runs: Path) -> None:
    arguments = ("runs/a", "--samples", "40", "--out", "taken")
    landscape(three_runs, *arguments, "--points", "3")
    answer = infomcr(("landscape", *arguments, "--points", "5"), three_runs)
    assert answer.code == 2
    assert "--force" in answer.err
    assert len(landscape(three_runs, *arguments, "--points", "5", "--force")["axes"]["first"]) == 5


@pytest.fixture(scope="module")
def plane(three_runs: Path) -> Any:
    arguments = ("--through", "runs/a", "runs/b", "runs/c", "--points", "4", "--samples", "all")
    return landscape(three_runs, *arguments, "--batch-statistics", "keep", "--out", "plane")


def test_the_plane_contains_the_losses_that_eval_measures(three_runs: Path, plane: Any) -> None:
    for run in plane["runs"]:
        copy = three_runs / "copies" / Path(run["run"]).name
        shutil.copytree(run["run"], copy, dirs_exist_ok=True)
        answer = infomcr(("eval", str(copy), "measure.names=[parameter_norm]", "--json"), three_runs)
        (evaluated,) = json.loads(answer.out)["runs"]
        assert run["loss"] == pytest.approx(evaluated["train"]["loss"], rel=CLOSED_FORM)
        assert run["in_plane"]["loss"] == pytest.approx(evaluated["train"]["loss"], rel=FLOAT32)
        assert run["in_plane"]["error"] == pytest.approx(1 - evaluated["train"]["accuracy"], abs=1e-9)


def test_the_last_checkpoint_of_each_path_is_its_minimum(plane: Any) -> None:
    assert plane["samples"] == 120
    for run in plane["runs"]:
        path = plane["paths"][run["run"]]
        assert [point["epoch"] for point in path] == sorted(point["epoch"] for point in path)
        assert len(path) >= 2
        assert (path[-1]["x"], path[-1]["y"]) == pytest.approx((run["x"], run["y"]), abs=SINGLE)
        assert path[-1]["distance"] == pytest.approx(0, abs=SINGLE)


def test_the_grid_holds_all_minima(plane: Any) -> None:
    for name, axis in (("x", "first"), ("y", "second")):
        assert min(plane["axes"][axis]) < min(run[name] for run in plane["runs"])
        assert max(plane["axes"][axis]) > max(run[name] for run in plane["runs"])
    assert np.shape(plane["surface"]["loss"]) == (len(plane["axes"]["first"]), len(plane["axes"]["second"]))


def test_statistics_are_renewed_on_a_plane_by_default(three_runs: Path) -> None:
    arguments = ("--through", "runs/a", "runs/b", "runs/b@epoch-0001", "--points", "3", "--samples", "40")
    assert landscape(three_runs, *arguments, "--out", "default")["batch_statistics"] == "renew"


def test_coordinates_and_weights_of_a_plane_agree() -> None:
    a, b, c = np.random.default_rng(0).normal(size=(3, 40))
    plane = plane_through(a, b, c)
    for place, weights in zip(plane.corners, (a, b, c), strict=True):
        np.testing.assert_allclose(plane.point(*place), weights, rtol=ROUNDING, atol=ROUNDING)
        assert plane.project(weights) == pytest.approx((*place, 0.0), abs=CLOSED_FORM)
    assert plane.first @ plane.second == pytest.approx(0, abs=CLOSED_FORM)
    shares = plane.shares(0.3, 0.4)
    np.testing.assert_allclose(np.dot(shares, [a, b, c]), plane.point(0.3, 0.4), rtol=1e-9, atol=ROUNDING)
    outside = plane.point(0.1, 0.2) + 0.5 * np.linalg.norm(plane.first) * _orthogonal(plane.first, plane.second)
    assert plane.project(outside) == pytest.approx((0.1, 0.2, 0.5))


def _orthogonal(*vectors: np.ndarray) -> np.ndarray:
    basis, _ = np.linalg.qr(np.stack([*vectors, np.arange(len(vectors[0])) + 1.0], axis=1))
    return basis[:, -1]


def test_mixed_variances_are_never_negative_and_means_may_be() -> None:
    names = ["bn/moving_mean", "bn/moving_variance"]
    arrays = [dict.fromkeys(names, np.array([value])) for value in (1.0, 0.0, 0.0)]  # means of rectified channels too
    found = mixed(arrays, (-1.0, 1.0, 1.0), names)
    assert found == {"bn/moving_mean": -1.0, "bn/moving_variance": 0.0}


def test_points_of_a_plane_are_about_equally_far_apart_on_both_axes() -> None:
    first, second = axes(np.array([(0.0, 0.0), (4.0, 1.0)]), 25)
    assert len(first) == 25
    assert np.diff(second)[0] == pytest.approx(np.diff(first)[0], rel=0.1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("runs/aa",), "Did you mean 'runs/a'"),
        (("runs/a", "--directions", "hesian"), "Did you mean 'hessian'"),
        (("runs/a", "--batch-statistics", "renewed"), "Did you mean 'renew'"),
        (("runs/a@epoch-001",), "Did you mean 'epoch-0001'"),
        (("runs/a", "--dimensions", "3"), "1 or 2"),
        (("runs/a", "--points", "2"), "3 to"),
        (("runs/a", "--radius", "nan"), "positive"),
        (("runs/a", "--samples", "many"), "or all"),
        (("runs/a", "--samples", 5000 * "9"), "or all"),
        (("runs/a", "seed=3"), "seed"),
        ((), "--through"),
        (("--through", "runs/a", "runs/a", "runs/b"), "different minima"),
        (("--through", "runs/a", "runs/b", "runs/c", "--radius", "1"), "--radius"),
    ],
)
def test_mistakes_exit_2_and_name_what_is_accepted(three_runs: Path, arguments: tuple[str, ...], words: str) -> None:
    answer = infomcr(("landscape", *arguments, "--json"), three_runs)
    assert answer.code == 2
    assert words in answer.err
    assert not answer.out


def test_minima_of_two_architectures_have_no_plane(three_runs: Path) -> None:
    answer = infomcr(("landscape", "--through", "runs/a", "runs/b", "runs/linear"), three_runs)
    assert answer.code == 2
    assert "the corners of a plane must be minima of the same network" in answer.err
    assert "model.depth: 1 → 0" in answer.err


def test_eigenvectors_that_another_landscape_left_are_dropped_with_its_values(tmp_path: Path) -> None:
    folder = ResultFolder(tmp_path, {"minimum": "a"}, "landscape.json")
    folder.make("--out")
    folder.open()
    folder.keep("eigenvectors-0", {"directions": np.eye(2)})
    other = ResultFolder(tmp_path, {"minimum": "b"}, "landscape.json")
    other.open(force=True)
    assert other.kept("eigenvectors-0") is None


@pytest.mark.parametrize(("name", "is_said"), [("a", True), ("linear", False)])
def test_only_of_a_network_with_batch_norm_a_picture_says_what_became_of_its_statistics(
    three_runs: Path, name: str, is_said: bool
) -> None:
    found = landscape(three_runs, f"runs/{name}", "--points", "3", "--samples", "40", "--out", f"note-{name}")
    assert found["has_batch_norm"] is is_said
    assert ("batch norm" in found["pictures"]["curves"]["title"]) is is_said


def test_bad_names_are_refused_before_tensorflow_is_imported(three_runs: Path) -> None:
    code = (
        "import sys; from infomcr_cli.cli import main\n"
        "sys.argv = ['infomcr', 'landscape', 'runs/a', '--directions', 'x']\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    print(stop.code, 'tensorflow' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=three_runs, capture_output=True, text=True, check=False)
    assert answer.stdout.split() == ["2", "False"]


def test_a_landscape_of_a_run_is_kept_in_each_run_that_it_is_of(three_runs: Path, tmp_path: Path) -> None:
    from infomcr_cli.tracking.description import _artifacts

    shutil.copytree(three_runs / "runs", tmp_path / "runs", ignore=shutil.ignore_patterns("linear", "c"))
    found = landscape(tmp_path, "runs/a", "runs/b", "--points", "3", "--samples", "40")
    name = Path(found["folder"]).name
    for run in ("a", "b"):
        directory = RunDirectory.open(tmp_path / "runs" / run)
        shown = {str(path.relative_to(directory.path)) for path in _artifacts(directory)}
        for file in ("landscape.json", "values.npz", "curves.png", "curves.svg"):
            assert f"landscapes/{name}/{file}" in shown
    assert load_weights(tmp_path / "runs" / "a").keys()
