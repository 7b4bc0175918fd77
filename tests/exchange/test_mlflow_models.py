"""What MLflow holds of a run's checkpoints: models with steps, numbers tied to model and data, weights on request."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from cli import CommandLine
from saved_runs import NETWORKS, answer, run_of
from tolerances import SINGLE

NAMES = "measure.names=[gamma,parameter_count]"
FAST = (NAMES, "measure.gamma.samples=20", "measure.gamma.draws=1", "measure.gamma.draw_size=20")


def store(file: str = "mlflow/mlflow.db") -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(f"sqlite:///{Path.cwd() / file}")


def mirrored(client: Any) -> tuple[Any, list[Any]]:
    """The only run of the store, and its models."""
    experiment = client.get_experiment_by_name("infomcr").experiment_id
    (run,) = client.search_runs([experiment])
    return client.get_run(run.info.run_id), list(client.search_logged_models([experiment]))


def summary(file: str = "mlflow/mlflow.db") -> dict[str, Any]:
    """All that must not change when a run is mirrored again."""
    client = store(file)
    run, models = mirrored(client)
    inputs = ((one.dataset.name, one.dataset.digest, one.tags[0].value) for one in run.inputs.dataset_inputs)
    return {
        "inputs": sorted(inputs),
        "outputs": [output.step for output in run.outputs.model_outputs],
        "models": [(model.name, model.tags, model.status) for model in models],
        "numbers": sorted(
            (one.key, one.step, one.value, one.dataset_name, one.dataset_digest)
            for model in models
            for one in model.metrics or []
        ),
        "history": {key: len(client.get_metric_history(run.info.run_id, key)) for key in run.data.metrics},
    }


def test_an_evaluated_checkpoint_is_a_model_whose_numbers_name_their_data(
    command_line: CommandLine, tmp_path: Path
) -> None:
    run_of("runs/mlp", NETWORKS["mlp"], "mlflow")
    evaluated = answer(command_line, "eval", "runs/mlp", *FAST)["runs"][0]
    found = summary()
    assert {context for _, _, context in found["inputs"]} == {"train", "test"}
    assert {name for name, _, _ in found["inputs"]} == {"digits"}
    assert len({digest for _, digest, _ in found["inputs"]}) == 2
    assert found["outputs"] == [2]
    (model,) = found["models"]
    assert model[1]["infomcr.checkpoint"] == "epoch-0001"
    digests = {context: digest for _, digest, context in found["inputs"]}
    numbers = {key: (step, value, digest) for key, step, value, _, digest in found["numbers"]}
    gamma = evaluated["measures"]["gamma"]["value"]
    assert numbers["eval/gamma"] == (2, pytest.approx(gamma), digests["train"])
    assert numbers["eval/test_loss"] == (2, pytest.approx(evaluated["test"]["loss"]), digests["test"])
    assert numbers["eval/gap_loss"][2] is None

    answer(command_line, "sync", "runs/mlp")
    assert summary() == found
    answer(command_line, "sync", "runs/mlp", "--tracking-uri", "sqlite:///other/mlflow.db")
    assert summary("other/mlflow.db") == found


def test_numbers_that_a_former_version_mirrored_are_tied_to_their_model_by_sync(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as former:
        former.setattr("infomcr_cli.tracking.sync.push_models", lambda *arguments: None)
        former.setattr("infomcr_cli.tracking.sync.push_inputs", lambda *arguments: None)
        run_of("runs/mlp", NETWORKS["mlp"], "mlflow")
        answer(command_line, "eval", "runs/mlp", *FAST)
        assert summary()["models"] == []
    answer(command_line, "sync", "runs/mlp")
    found = summary()
    assert "eval/gamma" in {number[0] for number in found["numbers"]}
    answer(command_line, "sync", "runs/mlp")
    assert summary() == found


def test_uploaded_weights_are_a_keras_model_that_predicts_as_the_run_on_raw_images(command_line: CommandLine) -> None:
    import mlflow

    model, dataset = run_of("runs/mlp", NETWORKS["mlp"], "mlflow")
    answer(command_line, "sync", "runs/mlp")
    assert summary()["models"] == []
    answer(command_line, "sync", "runs/mlp", "--checkpoints", "last")
    found = summary()
    answer(command_line, "sync", "runs/mlp", "--checkpoints", "all")
    assert summary() == found
    (uploaded,) = mirrored(store())[1]
    assert uploaded.tags["infomcr.weights"] == "uploaded"
    mlflow.set_tracking_uri(store().tracking_uri)
    images = dataset.test.pixels
    expected = keras.ops.convert_to_numpy(model(dataset.standardise(images), training=False))
    loaded = mlflow.keras.load_model(f"models:/{uploaded.model_id}")
    assert np.abs(loaded.predict(images, verbose=0) - expected).max() <= 1e-6 * np.abs(expected).max()
    function = mlflow.pyfunc.load_model(f"models:/{uploaded.model_id}")
    assert np.abs(function.predict(images) - expected).max() <= 1e-6 * np.abs(expected).max()
    assert function.metadata.metadata["class_names"] == [str(digit) for digit in range(10)]


def test_a_run_that_is_deleted_in_mlflow_takes_its_models_along(command_line: CommandLine) -> None:
    run_of("runs/mlp", NETWORKS["mlp"], "mlflow")
    answer(command_line, "eval", "runs/mlp", *FAST)
    shutil.rmtree("runs/mlp")
    answer(command_line, "sync", "--prune", "--yes")
    client = store()
    experiment = client.get_experiment_by_name("infomcr").experiment_id
    assert client.search_runs([experiment]) == []
    assert list(client.search_logged_models([experiment])) == []


def test_a_server_that_knows_no_models_still_gets_the_numbers(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import ENDPOINT_NOT_FOUND
    from mlflow.tracking import MlflowClient

    def unknown(*arguments: Any, **keywords: Any) -> None:
        raise MlflowException("no such endpoint", error_code=ENDPOINT_NOT_FOUND)

    for name in ("search_logged_models", "create_logged_model"):
        monkeypatch.setattr(MlflowClient, name, unknown)
    run_of("runs/mlp", NETWORKS["mlp"], "mlflow")
    evaluated = answer(command_line, "eval", "runs/mlp", *FAST)["runs"][0]
    experiment = store().get_experiment_by_name("infomcr").experiment_id
    (run,) = store().search_runs([experiment])
    assert run.data.metrics["eval/gamma"] == pytest.approx(evaluated["measures"]["gamma"]["value"])


def test_a_damaged_checkpoint_does_not_keep_numbers_from_mlflow(command_line: CommandLine) -> None:
    run_of("runs/mlp", NETWORKS["mlp"], "mlflow")
    Path("runs/mlp/checkpoints/epoch-0001.safetensors").write_bytes(b"damaged")
    Path("runs/mlp/metrics.jsonl").write_text('{"step": 2, "epoch": 1, "train/loss": 0.5, "timing": {}}\n')
    (synced,) = answer(command_line, "sync", "runs/mlp")["runs"]
    assert synced["problem"] is None


@pytest.mark.slow
def test_a_regularized_run_is_served_by_mlflow_and_answers_as_eval_says(
    command_line: CommandLine, tmp_path: Path
) -> None:
    size = ("data.train_size=128", "data.test_size=100", "schedule.epochs=1", "model.width=8")
    trained = answer(command_line, "train", "reg=on", "model=mlp", *size, "tracking.checkpoints=last")
    evaluated = answer(command_line, "eval", trained["run"], *FAST)["runs"][0]
    (model,) = mirrored(store())[1]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["-m", f"models:/{model.model_id}", "--env-manager", "local", "-h", "127.0.0.1", "-p", str(port)]
    place = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}  # the server starts uvicorn by its name
    variables = {"MLFLOW_TRACKING_URI": store().tracking_uri, "MLFLOW_DISABLE_TELEMETRY": "true"}
    with Path("serve.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "models", "serve", *words],
            env={**os.environ, **place, **variables},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        from infomcr_cli.config.compose import compose_run
        from infomcr_cli.data import load_dataset

        dataset = load_dataset(compose_run(["model=mlp", *size]).data, seed=0)
        logits = _served(server, port, dataset.test.pixels)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)  # of the server and of what it started
        server.wait(30)
    labels = dataset.test.labels
    losses = np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1)) + logits.max(1)
    assert np.mean(losses - logits[np.arange(len(labels)), labels]) == pytest.approx(
        evaluated["test"]["loss"], rel=SINGLE
    )
    assert np.mean(np.argmax(logits, axis=1) == labels) == evaluated["test"]["accuracy"]


def _served(server: subprocess.Popen[bytes], port: int, images: Any) -> Any:
    body = json.dumps({"inputs": images.tolist()}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/invocations", body, {"Content-Type": "application/json"})
    deadline = time.monotonic() + 300
    while True:
        try:
            with urllib.request.urlopen(request, timeout=60) as answered:
                return np.asarray(json.load(answered)["predictions"], np.float64)
        except OSError:
            assert server.poll() is None, Path("serve.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(1)
