"""`infomcr audit` on real runs: rescaling at once, other seeds, orders and more epochs by resumable sweeps."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tolerances import AUTODIFF, SINGLE

from infomcr_cli.config.compose import compose_run
from infomcr_cli.engine.audit_jobs import audit_sweeps
from infomcr_cli.errors import InputError
from infomcr_cli.experiment.network import initial_weights
from infomcr_cli.report.audit import read_audit
from infomcr_cli.runs import RunDirectory, new_status
from infomcr_cli.runs.identity import identity

INFOMCR = str(Path(sys.executable).with_name("infomcr"))
NAMES = (
    "measure.names=[gamma,margin,path_norm,parameter_norm,sharpness,adaptive_sharpness,distance_from_initialization]"
)
SMALL = ("model=mlp", "model.depth=1", "model.width=16", "data.train_size=200", "schedule.epochs=2", "tracking=off")
MEASURE = (
    NAMES,
    "measure.samples=60",
    "measure.gamma.samples=60",
    "measure.gamma.draw_size=20",
    "measure.gamma.draws=3",
)


def infomcr(cwd: Path, *arguments: str) -> Any:
    answer = subprocess.run([INFOMCR, *arguments, "--json"], cwd=cwd, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audit")
    infomcr(folder, "train", *SMALL, *MEASURE, "--run-dir", "runs/one")
    infomcr(folder, "train", *SMALL, *MEASURE, "optimizer.learning_rate=0.05", "--run-dir", "runs/two")
    infomcr(folder, "eval", "runs/one", "runs/two")
    return folder


@pytest.fixture(scope="module")
def rescaled(trained: Path) -> Any:
    before = {path: path.read_bytes() for path in (trained / "runs" / "one").rglob("*") if path.is_file()}
    document = infomcr(trained, "audit", "runs/one", "--against", "runs/*", "--rescalings", "3")
    assert all(path.read_bytes() == content for path, content in before.items()), "the run itself stays as it is"
    return document


def test_rescaling_moves_only_measures_that_depend_on_the_scale(rescaled: Any) -> None:
    found = {name: one["changes"]["rescaling"] for name, one in rescaled["measures"].items()}
    assert all(len(one["values"]) == 3 for one in found.values())
    for name in ("margin", "path_norm", "adaptive_sharpness"):
        assert found[name]["spread"] < 1e-4 * abs(rescaled["measures"][name]["value"])
    for name in ("gamma", "parameter_norm", "sharpness", "distance_from_initialization"):
        assert found[name]["spread"] > 1e-3 * abs(rescaled["measures"][name]["value"])
    assert rescaled["changes"]["rescaling"]["logits_change"] < 1e-4


def test_fragility_is_over_the_spread_between_the_runs_of_the_comparison(trained: Path, rescaled: Any) -> None:
    both = [
        json.loads((trained / "runs" / name / "measures.json").read_text())["checkpoints"]["last"]["measures"]["gamma"]
        for name in ("one", "two")
    ]
    gamma = rescaled["measures"]["gamma"]
    assert gamma["value"] == pytest.approx(both[0]["value"], rel=AUTODIFF)
    assert gamma["minima"] == 2
    assert gamma["between_minima"] == pytest.approx(abs(both[0]["value"] - both[1]["value"]) / 2**0.5)
    assert gamma["changes"]["rescaling"]["ratio"] == pytest.approx(
        gamma["changes"]["rescaling"]["spread"] / gamma["between_minima"]
    )


def test_audit_is_kept_with_the_run(trained: Path, rescaled: Any) -> None:
    run = RunDirectory.open(trained / "runs" / "one")
    kept = read_audit(run)
    assert kept is not None
    assert json.loads(kept.model_dump_json()) == rescaled
    assert (run.plots / "audit.svg").is_file()


def test_an_audit_that_changes_nothing_or_cannot_rescale_is_refused(trained: Path) -> None:
    answer = subprocess.run(
        [INFOMCR, "audit", "runs/one", "--rescalings", "0"], cwd=trained, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 2
    assert "must make at least one change" in answer.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [(("--checkpoint", "bset"), "bset"), (("--factor", "inf"), "above 1 and finite")],
)
def test_an_audit_that_cannot_measure_the_run_is_refused_before_tensorflow_is_imported(
    trained: Path, tmp_path: Path, options: Any, words: str
) -> None:
    (tmp_path / "tensorflow.py").write_text("raise SystemExit('TensorFlow was imported')")
    command = [INFOMCR, "audit", "runs/one", "--seeds", "1", *options]
    paths = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    answer = subprocess.run(
        command, cwd=trained, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": paths}
    )
    assert (answer.returncode, words in answer.stderr) == (2, True)
    assert not (trained / "runs" / "one" / "audit").exists()


def sweeps(trained: Path, **options: Any) -> dict[str, list[str]]:
    run = RunDirectory.open(trained / "runs" / "one")
    given = {"seeds": 0, "orders": 0, "more_epochs": (), **options}
    return audit_sweeps(run, compose_run([*SMALL, *MEASURE]), **given)


def test_what_is_trained_differs_in_one_setting(trained: Path) -> None:
    found = sweeps(trained, seeds=2, orders=2, more_epochs=(3,))
    assert "seed=1,2" in found["seed"]
    assert "data.order_seed=1,2" in found["order"]
    further = found["more_epochs"]
    assert "schedule.epochs=3" in further
    assert "schedule.epochs=2" not in further
    lines = (trained / "runs" / "one" / "metrics.jsonl").read_text().splitlines()
    (rate,) = [text.partition("=")[2] for text in further if text.startswith("optimizer.learning_rate=")]
    assert float(rate) == pytest.approx(json.loads(lines[-1])["learning_rate"], rel=SINGLE)
    for overrides in found.values():
        plain = [text for text in overrides if not text.startswith(("seed=", "data.order", "sweep.", "start="))]
        assert compose_run(plain).measure == compose_run([*SMALL, *MEASURE]).measure
        assert compose_run(plain).model == compose_run(SMALL).model


def test_a_run_that_its_overrides_do_not_describe_cannot_be_trained_again(trained: Path) -> None:
    run = RunDirectory.open(trained / "runs" / "one")
    config = compose_run([*SMALL, *MEASURE, "model.width=17"])
    with pytest.raises(InputError, match=r"overrides\.yaml"):
        audit_sweeps(run, config, seeds=1, orders=0, more_epochs=())


def test_a_run_of_an_audit_is_not_trained_again_by_another_one(tmp_path: Path) -> None:
    outer = RunDirectory.create(tmp_path / "one", config=b"{}\n", overrides=[], status=new_status("ab"))
    inner = RunDirectory.create(outer.path / "audit" / "two", config=b"{}\n", overrides=[], status=new_status("cd"))
    config = compose_run([*SMALL, *MEASURE])
    with pytest.raises(InputError, match="would be too deep"):
        audit_sweeps(inner, config, seeds=1, orders=0, more_epochs=())
    assert audit_sweeps(inner, config, seeds=0, orders=0, more_epochs=()) == {}


def test_order_seed_is_another_run_of_the_same_initial_weights() -> None:
    from infomcr_cli.data import load_dataset

    one, two = compose_run(SMALL), compose_run([*SMALL, "data.order_seed=7"])
    assert identity(one) != identity(two)
    dataset = load_dataset(one.data, seed=0)
    assert load_dataset(two.data, seed=0).fingerprint == dataset.fingerprint
    first, second = initial_weights(one, dataset), initial_weights(two, dataset)
    assert all((first[name] == second[name]).all() for name in first)


def test_what_is_trained_uses_the_engine_and_the_device_that_were_given(trained: Path) -> None:
    found = sweeps(trained, seeds=1, overrides=("engine.jobs=1", "device=cpu", "measure.samples=10"))
    assert {"engine.jobs=1", "device=cpu"} <= set(found["seed"])
    assert "measure.samples=10" not in found["seed"]


def test_slurm_is_refused_for_what_an_audit_trains(trained: Path) -> None:
    command = [INFOMCR, "audit", "runs/one", "--seeds", "1", "engine=slurm"]
    answer = subprocess.run(command, cwd=trained, capture_output=True, text=True, check=False)
    assert (answer.returncode, "engine=local" in answer.stderr) == (2, True)
    assert not (trained / "runs" / "one" / "audit").exists()


@pytest.mark.parametrize("rate", ["1" + 400 * "0", '"\xff"'])
def test_a_damaged_learning_rate_is_bad_input(tmp_path: Path, trained: Path, rate: str) -> None:
    shutil.copytree(trained / "runs" / "one", tmp_path / "one")
    (tmp_path / "one" / "metrics.jsonl").write_bytes(
        f'{{"step": 1, "epoch": 1, "learning_rate": {rate}}}\n'.encode("latin-1")
    )
    with pytest.raises(InputError):
        audit_sweeps(
            RunDirectory.open(tmp_path / "one"),
            compose_run([*SMALL, *MEASURE]),
            seeds=0,
            orders=0,
            more_epochs=(3,),
        )


@pytest.mark.slow
def test_training_again_gives_values_and_is_resumed(trained: Path) -> None:
    command = ("audit", "runs/two", "--seeds", "1", "--orders", "1", "--more-epochs", "1", "--rescalings", "1")
    document = infomcr(trained, *command, "--against", "runs/*")
    assert list(document["changes"]) == ["rescaling", "more_epochs", "seed", "order"]
    moved = document["measures"].pop("distance_from_initialization")["changes"]
    assert moved["more_epochs"]["values"] == [None], "what goes on from another run has not its own random weights"
    assert moved["order"]["spread"] > 0
    for one in document["measures"].values():
        assert all(changed["values"][0] is not None for changed in one["changes"].values())
    runs = {path: path.stat().st_mtime_ns for path in (trained / "runs" / "two" / "audit").rglob("metrics.jsonl")}
    assert len(runs) == 3
    again = infomcr(trained, *command, "--against", "runs/*")
    assert again["measures"].items() >= document["measures"].items()
    assert {path: path.stat().st_mtime_ns for path in runs} == runs, "nothing is trained twice"
