"""The whole loop on real data: train with and without the regularizer, evaluate, compare, look at what is left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tolerances import FLOAT32, SINGLE, STOCHASTIC

INFOMCR = str(Path(sys.executable).with_name("infomcr"))
TINY = ("model.depth=10", "model.width=0.5", "schedule.epochs=3", "data.batch_size=64", "data.train_size=512")
MEASURE = ("measure=fast", "measure.gamma.draws=4", "measure.gamma.draw_size=20", "measure.gamma.samples=80")


def _infomcr(cwd: Path, *arguments: str) -> Any:
    answer = subprocess.run([INFOMCR, *arguments, "--json"], cwd=cwd, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three trained and evaluated runs, and their MLflow store."""
    folder = tmp_path_factory.mktemp("loop")
    for name, reg, seed in (("off", "off", 0), ("on", "on", 0), ("on-1", "on", 1)):
        phases = ("reg.phases=111",) if reg == "on" else ()
        overrides = (*TINY, *MEASURE, f"reg={reg}", f"seed={seed}", *phases)
        document = _infomcr(folder, "train", *overrides, "--run-dir", f"runs/{name}")
        assert document["state"] == "FINISHED"
    _infomcr(folder, "eval", "runs/off", "runs/on", "runs/on-1")
    return folder


def test_a_run_directory_is_complete(trained: Path) -> None:
    for name in ("off", "on", "on-1"):
        run = trained / "runs" / name
        for file in (
            "config.yaml",
            "overrides.yaml",
            "status.json",
            "environment.json",
            "metrics.jsonl",
            "measures.json",
        ):
            assert (run / file).is_file(), file
        assert (run / "plots" / "spectrum-last.svg").is_file()
        assert sorted(path.stem for path in (run / "checkpoints").glob("*.safetensors")) == [
            "epoch-0001",
            "epoch-0002",
            "epoch-0003",
        ]
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        assert [line["step"] for line in lines] == [8, 16, 24]
        assert (lines[-1]["train/penalty"] > 0) == name.startswith("on")


def test_eval_agrees_with_a_slower_way(trained: Path) -> None:
    """Scores by NumPy from the logits of the whole split, and gamma from one draw's Jacobian taken anew."""
    import keras

    from infomcr_cli.data import load_dataset
    from infomcr_cli.experiment.network import build_network
    from infomcr_cli.experiment.recorded_settings import recorded_run
    from infomcr_cli.measures import gram_matrix
    from infomcr_cli.models import named_weights
    from infomcr_cli.runs import load_weights
    from infomcr_cli.runs.io.safe_documents import parse_yaml

    run = trained / "runs" / "on"
    config = recorded_run(parse_yaml((run / "config.yaml").read_bytes(), "config.yaml"))
    dataset = load_dataset(config.data, seed=config.seed)
    model = build_network(config, dataset)
    variables = named_weights(model)
    for name, array in load_weights(run).items():
        variables[name].assign(array)
    recorded = json.loads((run / "measures.json").read_text())["checkpoints"]["last"]
    for split, part in (("train", dataset.train), ("test", dataset.test)):
        logits = np.asarray(model(dataset.standardise(part.images), training=False), np.float64)
        shifted = logits - logits.max(1, keepdims=True)
        losses = np.log(np.exp(shifted).sum(1)) - shifted[np.arange(len(part)), part.labels]
        assert recorded[split]["loss"] == pytest.approx(losses.mean(), rel=FLOAT32)
        assert recorded[split]["accuracy"] == pytest.approx((logits.argmax(1) == part.labels).mean(), abs=1e-9)
    images, labels = dataset.standardise(dataset.train.images[:80]), dataset.train.labels[:80]
    gram = gram_matrix(model, images, labels)
    draws = recorded["measures"]["gamma"]["draws"]
    assert len(draws) == 4
    assert recorded["measures"]["gamma"]["value"] == pytest.approx(np.mean(draws), rel=1e-9)
    assert recorded["measures"]["fisher_trace"]["value"] == pytest.approx(np.trace(gram) / 80, rel=STOCHASTIC)
    keras.backend.clear_session()


def test_compare_puts_them_side_by_side(trained: Path) -> None:
    document = _infomcr(trained, "compare", "runs/*", "--csv", "table.csv", "--html", "page.html")
    assert document["n"] == 3
    assert -1 <= document["measures"]["gamma"]["kendall_tau"]["value"] <= 1
    assert (trained / "table.csv").read_text().count("\n") >= 3
    page = (trained / "page.html").read_text()
    for place in ("http://www.w3.org", "http://purl.org", "http://127.0.0.1:5000/#/runs/"):  # names and links
        page = page.replace(place, "")
    assert "http://" not in page


def test_compute_is_what_was_trained(trained: Path) -> None:
    """8 steps an epoch for 3 epochs: 24 passes without the regularizer, 72 with it in every step."""
    document = _infomcr(trained, "compare", "runs/off", "runs/on")
    found = {run["run"]: run["compute"] for run in document["runs"]}
    assert {name: compute["value"] for name, compute in found.items()} == {"off": 3, "on": 9}
    assert {name: compute["image_passes"] / 64 for name, compute in found.items()} == {"off": 24, "on": 72}


def test_mlflow_holds_the_same(trained: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{trained / 'mlflow' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("infomcr")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    run = runs["on"]
    assert run.info.status == "FINISHED"
    assert run.data.params["reg.beta"] == "10.0"
    history = client.get_metric_history(run.info.run_id, "test/accuracy")
    lines = [json.loads(line) for line in (trained / "runs" / "on" / "metrics.jsonl").read_text().splitlines()]
    assert [metric.value for metric in history] == [line["test/accuracy"] for line in lines]
    artifacts = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
    assert "measures.json" in artifacts


def test_the_same_seed_gives_the_same_bits(trained: Path) -> None:
    _infomcr(trained, "train", *TINY, *MEASURE, "reg=off", "tracking=off", "--run-dir", "again/off")
    one, other = (trained / place / "off" / "checkpoints" / "epoch-0003.safetensors" for place in ("runs", "again"))
    assert one.read_bytes() == other.read_bytes()


def test_a_new_run_starts_from_another_ones_weights(trained: Path) -> None:
    overrides = (*TINY, "schedule.epochs=1", "start=runs/on@epoch-0002", "tracking=off")
    _infomcr(trained, "train", *overrides, "--run-dir", "again/from")
    first = json.loads((trained / "again" / "from" / "metrics.jsonl").read_text().splitlines()[0])
    fresh = json.loads((trained / "runs" / "on" / "metrics.jsonl").read_text().splitlines()[0])
    assert first["train/loss"] < 0.7 * fresh["train/loss"]


def _some_cifar_images(archive: Path, folder: Path) -> None:
    """Unpack the first 40 training and 20 test images of each class."""
    taken: Counter[Path] = Counter()
    with tarfile.open(archive) as images:
        for member in images:
            place = Path(member.name)
            if member.isfile() and taken[place.parent] < (40 if place.parts[0] == "train" else 20):
                taken[place.parent] += 1
                images.extract(member, folder, filter="data")


def test_a_wide_resnet_learns_from_cifar_images(tmp_path: Path, shared: Path) -> None:
    archive = shared / "data" / "cifar10-images.tar.xz"
    if not archive.is_file():
        pytest.skip(f"no CIFAR-10 images at {archive}")
    _some_cifar_images(archive, tmp_path / "images")
    overrides = ("data=cifar10", "data.root=images", "data.cache=cache", "data.batch_size=40", "augment=standard")
    network = ("model.depth=10", "model.width=1", "schedule.epochs=8", "reg=on", "tracking=off")
    _infomcr(tmp_path, "train", *overrides, *network, "--run-dir", "r")
    lines = [json.loads(line) for line in (tmp_path / "r" / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["train/loss"] < 0.9 * lines[0]["train/loss"]
    assert lines[-1]["train/accuracy"] > 0.25  # chance is 0.1
    document = _infomcr(tmp_path, "eval", "r", "measure=fast", "measure.gamma.draws=2", "measure.gamma.draw_size=50")
    gamma = document["runs"][0]["measures"]["gamma"]
    assert gamma["convention"]["batch_norm"] == "inference"
    assert len(gamma["draws"]) == 2


def test_ops_side_by_side_give_the_bits_of_one_at_a_time(tmp_path: Path) -> None:
    weights = []
    for ops in ("1", "4"):
        command = (INFOMCR, "train", *TINY, "reg=on", "reg.phases=111", "tracking=off", "--run-dir", f"ops-{ops}")
        environment = {**os.environ, "TF_NUM_INTEROP_THREADS": ops}
        subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=True)
        weights.append((tmp_path / f"ops-{ops}" / "checkpoints" / "epoch-0003.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_a_profiled_run_stops_at_its_target_on_clean_training_data(tmp_path: Path) -> None:
    """Milestones on the way are kept, the loss that stopped it is the one that `eval` finds, and no second is lost."""
    settings = (*TINY, "schedule.epochs=40", "schedule.stop_at_train_loss=0.5", "tracking=off", "--run-dir", "run")
    command = (INFOMCR, "train", *settings, "--profile", "--json")
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout)["epoch"] < 40
    rows = [[cell.strip() for cell in line.split("│")] for line in answer.stderr.splitlines() if "│" in line]
    seconds = {row[1]: float(row[2]) for row in rows}
    assert seconds.pop("whole") == pytest.approx(sum(seconds.values()), abs=0.05)
    (trace,) = (tmp_path / "run").rglob("*.xplane.pb")
    assert b"Conv2D" in trace.read_bytes()
    assert {"loss-1", "loss-0.5"} <= {path.stem for path in (tmp_path / "run" / "checkpoints").glob("*.safetensors")}
    (run,) = _infomcr(tmp_path, "eval", "run", *MEASURE)["runs"]
    last = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert run["reached_target"]
    assert run["train"]["loss"] == pytest.approx(last["clean_train/loss"], rel=SINGLE)
    assert run["train"]["loss"] <= 0.5
