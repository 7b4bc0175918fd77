"""`infomcr path` on real runs: ends as `eval` reports them, barriers, alignment, and the same bits after a stop."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli import Answer, infomcr
from rich.console import Console
from tolerances import AUTODIFF

from infomcr_cli.landscapes.alignment import Alignment, permuted
from infomcr_cli.landscapes.alignment_channels import ChannelGroup, channel_groups
from infomcr_cli.landscapes.path_folder import PathFolder
from infomcr_cli.landscapes.path_training import CurveTraining
from infomcr_cli.landscapes.same_network import _unnamed
from infomcr_cli.models import build_model
from infomcr_cli.report.barriers import RunBarriers, barriers_between, barriers_table, path_renderables
from infomcr_cli.report.evaluated_run import read_compared_run
from infomcr_cli.report.path_document import PathDocument, PathValues, barriers
from infomcr_cli.report.plots.path import path_plot
from infomcr_cli.runs import RunDirectory, load_checkpoint
from infomcr_cli.runs.checkpoint import save_checkpoint
from infomcr_cli.runs.io.tensors import decode_arrays

DATA = ("data.train_size=160", "data.test_size=80", "data.seed=0", "data.batch_size=32", "schedule.epochs=3")
NETS = {
    "mlp": ("model=mlp", "model.depth=1", "model.width=12"),
    "line": ("model=mlp", "model.depth=0", "optimizer.l2=0"),
    "norm": ("model=mlp", "model.depth=2", "model.width=10", "model.norm=batch", "model.dropout=0.1"),
}


def run(folder: Path, *arguments: str) -> Any:
    answer = infomcr([*arguments, "--json"], folder, catch=False)
    assert answer.code == 0, answer.err
    return json.loads(answer.out)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of each network, and a copy of one with batch norm whose channels are permuted."""
    place = tmp_path_factory.mktemp("path")
    for name, net in NETS.items():
        tracking = "tracking=mlflow" if name == "mlp" else "tracking=off"
        for seed in (0, 1):
            run(place, "train", *net, *DATA, f"seed={seed}", tracking, "--run-dir", f"runs/{name}{seed}")
    shutil.copytree(place / "runs/norm0", place / "runs/copy")
    permute(RunDirectory.open(place / "runs/copy"))
    return place


def permute(directory: RunDirectory) -> None:
    checkpoint = load_checkpoint(directory)
    model = build_model("mlp", input_shape=(8, 8, 1), num_classes=10, depth=2, width=10, norm="batch")
    groups, rng = channel_groups(model), np.random.default_rng(0)
    moved = permuted(checkpoint.weights, groups, [rng.permutation(group.size) for group in groups])
    for path in directory.checkpoints.iterdir():
        path.unlink()
    save_checkpoint(directory, "epoch-0003", type(checkpoint)(checkpoint.step, 3, moved, {}, checkpoint.extra))


@pytest.fixture(scope="module")
def plain(folder: Path) -> Any:
    return run(folder, "path", "runs/mlp0", "runs/mlp1", "--points", "5", "--steps", "12")


def test_the_ends_are_what_eval_reports(folder: Path, plain: Any) -> None:
    evaluated = run(folder, "eval", "runs/mlp0", "runs/mlp1", "measure.names=[margin]")["runs"]
    for end, one, place in zip(plain["ends"], evaluated, (0, -1), strict=True):
        assert {key: end[key] for key in ("train", "test")} == {key: one[key] for key in ("train", "test")}
        for split in ("train", "test"):  # without batch norm there is nothing to renew
            for kind in ("linear", "curve"):
                assert plain["paths"][kind][f"{split}_loss"][place] == one[split]["loss"]
                assert plain["paths"][kind][f"{split}_error"][place] == 1 - one[split]["accuracy"]


def test_values_and_pictures_are_written_and_mirrored(folder: Path, plain: Any) -> None:
    place = Path(plain["folder"])
    assert place.parent == folder / "runs/mlp0/landscapes"
    assert sorted(path.name for path in place.iterdir() if path.name[0] != ".") == [
        *("control.safetensors", "path.json", "path.png", "path.svg", "settings.json", "values.npz"),
    ]
    with np.load(place / "values.npz") as values:
        np.testing.assert_array_equal(values["linear_train_loss"], plain["paths"]["linear"]["train_loss"])
        np.testing.assert_array_equal(values["curve_t"], np.linspace(0, 1, 5))
    other = folder / "runs/mlp1/landscapes" / place.name
    assert (other / "path.json").read_bytes() == (place / "path.json").read_bytes()
    mirrored = [path.relative_to(folder) for path in (folder / "mlflow/artifacts").rglob("path.*")]
    assert len(mirrored) == 6, "JSON, PNG and SVG of both runs"


def test_training_makes_the_curve_lower_than_the_line(plain: Any) -> None:
    line, curve = (np.array(plain["paths"][kind]["train_loss"]) for kind in ("linear", "curve"))
    assert curve[1:-1].mean() < line[1:-1].mean()
    assert plain["training"]["learning_rate"] == 0.1
    assert plain["barriers"]["linear"]["train_loss"]["value"] > 0


def test_a_convex_network_has_no_barrier(folder: Path) -> None:
    document = run(folder, "path", "runs/line0", "runs/line1", "--steps", "0", "--points", "7")
    assert list(document["paths"]) == ["linear"]
    assert document["training"] is None
    assert document["barriers"]["linear"]["train_loss"]["value"] == 0
    assert document["barriers"]["linear"]["test_loss"]["value"] == 0


def test_the_barrier_to_a_permuted_copy_is_gone_after_alignment(folder: Path) -> None:
    document = run(folder, "path", "runs/norm0", "runs/copy", "--align", "--points", "5", "--steps", "0")
    barriers, alignment = document["barriers"], document["alignment"]
    assert barriers["linear"]["train_loss"]["value"] > 0.03
    assert abs(barriers["aligned"]["train_loss"]["value"]) < 1e-6
    assert barriers["aligned"]["test_error"]["value"] == 0
    assert alignment["distance_before"] > 1
    assert alignment["distance_after"] == 0
    for split in ("train", "test"):
        losses = [end[split]["loss"] for end in document["ends"]]
        assert losses[0] == pytest.approx(losses[1], rel=AUTODIFF), "the copy computes the same"


def stopping(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, after: int) -> None:
    """Stop the command as a signal would at a call of a method."""
    original, calls = getattr(owner, name), iter(range(10**6))

    def method(*arguments: Any, **options: Any) -> Any:
        if next(calls) == after:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, method)


def test_a_stopped_path_continues_to_the_same_bits(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a network with batch norm and dropout, whose random generators are kept too."""
    from infomcr_cli.landscapes.path import PathNetwork

    command = ("path", "runs/norm0", "runs/norm1", "--points", "4", "--steps", "9", "--seed", "3")
    whole = run(folder, *command, "--out", str(tmp_path / "whole"))
    for owner, name, after in ((PathNetwork, "renewed", 2), (CurveTraining, "step", 5), (PathNetwork, "renewed", 1)):
        with monkeypatch.context() as patch:
            stopping(patch, owner, name, after)
            answer = infomcr([*command, "--out", str(tmp_path / "parts"), "--json"], folder, catch=False)
        assert answer.code == 130
        assert not (tmp_path / "parts/path.json").exists()
    parts = run(folder, *command, "--out", str(tmp_path / "parts"))
    assert parts["paths"] == whole["paths"]
    assert arrays(tmp_path / "parts") == arrays(tmp_path / "whole")
    assert not list((tmp_path / "parts").glob(".*.json"))


def arrays(place: Path) -> dict[str, bytes]:
    found, _ = decode_arrays((place / "control.safetensors").read_bytes(), "control")
    return {name: array.tobytes() for name, array in found.items()}


def test_a_complete_path_is_not_computed_again(folder: Path, plain: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infomcr_cli.path._computed", None)
    assert run(folder, "path", "runs/mlp0", "runs/mlp1", "--points", "5", "--steps", "12") == plain


def test_compare_shows_barriers_between_its_runs(folder: Path, plain: Any) -> None:
    run(folder, "eval", "runs/mlp0", "runs/mlp1", "measure.names=[margin]")
    compare = ("compare", "runs/mlp0", "runs/mlp1", "--no-tracking")
    (found,) = run(folder, *compare)["barriers"]
    assert found["runs"] == ["mlp0", "mlp1"]
    value = plain["barriers"]["linear"]["train_loss"]["value"]
    assert found["barriers"]["linear"]["train_loss"]["value"] == value
    assert (found["points"], found["samples"], found["steps"]) == (plain["points"], plain["samples"], plain["steps"])
    shown = infomcr(compare, folder, catch=False).out
    assert "Barriers between runs" in shown
    assert "mlp0 – mlp1" in shown
    (row,) = barriers_table([RunBarriers(PathDocument.model_validate(plain))]).rows
    assert row[-2:] == (str(plain["points"]), str(plain["samples"]["train"]))
    assert run(folder, "compare", "runs/mlp0", "--no-tracking")["barriers"] == []


def test_of_two_paths_between_two_runs_compare_shows_the_newer(folder: Path, plain: Any) -> None:
    """Whichever run's folder it is in, and in whichever direction it was computed."""
    (found,) = Path(folder, "runs/mlp0/landscapes").glob("*/path.json")
    back = folder / "runs/mlp1/landscapes/back/path.json"
    back.parent.mkdir(parents=True)
    document = json.loads(found.read_text())
    back.write_text(json.dumps({**document, "ends": document["ends"][::-1]}))
    for seconds, names in ((60, ["mlp1", "mlp0"]), (-60, ["mlp0", "mlp1"])):
        os.utime(back, (found.stat().st_mtime + seconds,) * 2)
        runs = [read_compared_run(RunDirectory.open(folder / "runs" / name)) for name in ("mlp0", "mlp1")]
        assert [one.runs for one in barriers_between(runs)] == [tuple(names)]
    shutil.rmtree(back.parent)


def refused(folder: Path, *arguments: str) -> Answer:
    answer = infomcr(["path", *arguments], folder, catch=False)
    assert answer.code == 2, answer.text
    return answer


@pytest.fixture
def odd_runs(folder: Path) -> Iterator[Path]:
    """A wider network, and one that was trained on other images, without training them."""
    for name, before, after in (
        ("wider", "width: 12", "width: 13"),
        ("subset", "train_size: 160", "train_size: 150"),
    ):
        place = folder / "runs" / name
        shutil.copytree(folder / "runs/mlp0", place)
        text = (place / "config.yaml").read_text()
        assert before in text
        (place / "config.yaml").write_text(text.replace(before, after))
    yield folder
    for name in ("wider", "subset"):
        shutil.rmtree(folder / "runs" / name)


def test_ends_that_are_not_alike_are_refused_by_what_differs(odd_runs: Path) -> None:
    assert "model.width: 12 → 13" in refused(odd_runs, "runs/mlp0", "runs/wider").err
    assert "data.train_size: 160 → 150" in refused(odd_runs, "runs/mlp0", "runs/subset").err
    assert "model.depth: 1 → 2" in refused(odd_runs, "runs/mlp0", "runs/norm0").err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("runs/mlp0",), "two runs"),
        (("runs/mlp0", "runs/mlp1", "runs/mlp0"), "two runs"),
        (("runs/mlp0", "runs/none"), "none"),
        (("runs/mlp0", "runs/mlp1@epoch-9"), "epoch-9"),
        (("runs/mlp0", "runs/mlp1", "--points", "2"), "--points"),
        (("runs/mlp0", "runs/mlp1", "--steps", "-1"), "--steps"),
        (("runs/mlp0", "runs/mlp1", "--samples", "some"), "--samples"),
        (("runs/mlp0", "runs/mlp1", "--learning-rate", "nan"), "--learning-rate"),
        (("runs/mlp0", "runs/mlp1", "--name", "../up"), "--name"),
        (("runs/mlp0", "runs/mlp1", "--name", "a", "--out", "b"), "--out"),
        (("runs/mlp0", "runs/mlp1", "model.width=3"), "model.width"),
    ],
)
def test_bad_input_is_refused_before_anything_is_computed(folder: Path, arguments: tuple[str, ...], why: str) -> None:
    assert why in refused(folder, *arguments).err


def test_a_folder_holds_one_path(folder: Path, tmp_path: Path) -> None:
    command = ("runs/line0", "runs/line1", "--steps", "0", "--out", str(tmp_path / "one"))
    run(folder, "path", *command, "--points", "3")
    assert "--force" in refused(folder, *command, "--points", "4").err
    assert run(folder, "path", *command, "--points", "4", "--force")["points"] == 4


def test_a_curve_that_diverges_says_so_and_keeps_the_points(folder: Path, tmp_path: Path) -> None:
    command = ("runs/mlp0", "runs/mlp1", "--points", "3", "--steps", "300", "--learning-rate", "1e30")
    answer = infomcr(["path", *command, "--out", str(tmp_path / "far")], folder, catch=False)
    assert answer.code == 1
    assert "--learning-rate" in answer.err
    assert (tmp_path / "far/.points.json").exists()
    assert not (tmp_path / "far/.curve.safetensors").exists()


def test_layers_that_keras_numbered_in_another_process_are_the_same() -> None:
    def described(*names: str, shortcut: str) -> dict[str, Any]:
        layers = [{"config": {"name": name}, "inbound": [[before, 0, 0]]} for before, name in pairwise(names)]
        layers[-1]["inbound"] += [[shortcut, 0, 0]]
        return {"name": "model", "layers": [{"config": {"name": names[0]}, "inbound": []}, *layers]}

    one = _unnamed(described("input", "dense", "dense_1", "add", shortcut="dense"))
    assert one == _unnamed(described("input_2", "dense_3", "dense_4", "add_7", shortcut="dense_3"))
    assert one != _unnamed(described("input_2", "dense_3", "dense_4", "add_7", shortcut="input_2")), "other edges"


def test_an_alignment_is_kept_and_not_searched_again(tmp_path: Path) -> None:
    groups = [ChannelGroup(3, ()), ChannelGroup(2, ())]
    found = Alignment(tuple(groups), (np.array([2, 0, 1]), np.array([1, 0])), 4, 2.5, 1.25)
    place = PathFolder(tmp_path / "one", {"points": 3})
    place.make("--out")
    place.open()
    assert place.alignment(groups) is None
    place.keep_alignment(found)
    kept = place.alignment(groups)
    assert kept is not None
    assert [p.tolist() for p in kept.permutations] == [[2, 0, 1], [1, 0]]
    assert (kept.sweeps, kept.before, kept.after, kept.moved) == (4, 2.5, 1.25, 5)
    assert place.alignment([ChannelGroup(2, ()), ChannelGroup(3, ())]) is None, "of another network"


def test_values_that_are_not_finite_are_shown_as_such(plain: Any) -> None:
    document = json.loads(json.dumps(plain))
    for kind in document["paths"].values():
        kind["train_loss"][2] = kind["test_loss"][2] = None
    paths = {kind: PathValues.model_validate(values) for kind, values in document["paths"].items()}
    broken = PathDocument.model_validate({**document, "paths": paths, "barriers": barriers(paths)})
    assert broken.barriers["linear"]["train_loss"].value is None
    assert broken.barriers["linear"]["train_error"].value is not None
    assert "A gap: the loss is not finite." in path_plot(broken).note
    console = Console(file=io.StringIO(), width=120)
    console.print(*path_renderables(broken, 120))
    assert "not finite" in console.file.getvalue()  # type: ignore[attr-defined]
