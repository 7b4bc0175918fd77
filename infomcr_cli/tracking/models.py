"""Push the evaluations of a run to MLflow as models and data sets.

Each evaluated checkpoint is a LoggedModel with its step, and each number of its evaluation is tied to that model and to
the data set that it was measured on. Its weights are uploaded only if `tracking.checkpoints` says so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from infomcr_cli.console.redaction import redact
from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.runs.checkpoint import list_checkpoints, trained_on
from infomcr_cli.runs.directory import RunDirectory
from infomcr_cli.runs.io.safe_documents import parse_yaml
from infomcr_cli.runs.measures_file import read_measures_file
from infomcr_cli.tracking.client import Progress

CHECKPOINT, STEP, WEIGHTS = "infomcr.checkpoint", "infomcr.step", "infomcr.weights"
CONTEXT = "mlflow.data.context"
CONTEXTS = ("train", "test")
DIGEST = 32  # hexadecimal digits; MLflow takes at most 36
NO_DATASET = "eval/gap_"  # prefix of the numbers that compare two data sets


def push_inputs(client: Any, run: RunDirectory, progress: Progress) -> None:
    """Record the training and test data of a run by name and digest, once a checkpoint contains their digest."""
    from mlflow.entities import DatasetInput, InputTag

    if progress.datasets:
        return
    datasets = _datasets(run)
    recorded = client.get_run(progress.run_id).inputs
    known = {
        (one.dataset.digest, tag.value)
        for one in (recorded.dataset_inputs if recorded else [])
        for tag in one.tags
        if tag.key == CONTEXT
    }
    new = [
        DatasetInput(dataset, [InputTag(CONTEXT, context)])
        for context, dataset in datasets.items()
        if (dataset.digest, context) not in known
    ]
    if new:
        client.log_inputs(progress.run_id, new)
    progress.datasets = {context: (dataset.name, dataset.digest) for context, dataset in datasets.items()}


def push_models(client: Any, run: RunDirectory, progress: Progress) -> None:
    """Create a LoggedModel for each evaluated checkpoint that has none; servers before MLflow 3 have none."""
    evaluated = evaluated_checkpoints(run)
    if evaluated.keys() <= progress.models.keys():
        return
    with _before_mlflow_3():
        _find_models(client, progress)
        for step in sorted(evaluated.keys() - progress.models.keys()):
            create_model(client, run, progress, evaluated[step], step)


def evaluated_checkpoints(run: RunDirectory) -> dict[int, str]:
    """Return the checkpoints in measures.json by step; "last" is replaced by its own name."""
    try:
        evaluations = read_measures_file(run).checkpoints
    except InputError:  # numbers that can be read are mirrored all the same
        return {}
    named = {one.step: name for name, one in evaluations.items() if one.step is not None}
    own = {info.step: info.name for info in list_checkpoints(run)} if named else {}
    return {step: own.get(step, name) for step, name in named.items()}


def create_model(client: Any, run: RunDirectory, progress: Progress, name: str, step: int) -> str:
    """Create the LoggedModel of a checkpoint, as an output of its run, and return its id."""
    from mlflow.entities import LoggedModelOutput

    tags = {CHECKPOINT: name, STEP: str(step)}
    experiment = client.get_run(progress.run_id).info.experiment_id
    shown = printable(redact(f"{run.name}-{name}"), 200)
    allowed = "".join("_" if letter in "/:.%\"'" else letter for letter in shown)  # MLflow refuses these characters
    model = client.create_logged_model(
        experiment, name=allowed, source_run_id=progress.run_id, tags=tags, model_type="keras"
    )
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(progress.run_id, [LoggedModelOutput(model.model_id, step)])
    progress.models[step] = model.model_id
    return str(model.model_id)


def models_of_run(client: Any, run_id: str) -> Iterator[Any]:
    """Yield the LoggedModels of a run that infomcr created."""
    experiment, token = client.get_run(run_id).info.experiment_id, None
    while True:
        page = client.search_logged_models([experiment], f"source_run_id = '{run_id}'", page_token=token)
        yield from (model for model in page if STEP in model.tags)
        token = page.token
        if not token:
            return


def delete_models(client: Any, run_id: str) -> None:
    """Delete the LoggedModels of a deleted run."""
    with _before_mlflow_3():
        for model in list(models_of_run(client, run_id)):
            client.delete_logged_model(model.model_id)


@contextmanager
def _before_mlflow_3() -> Iterator[None]:
    """Ignore the error of a server without LoggedModels; raise all others."""
    try:
        yield
    except Exception as error:
        if getattr(error, "error_code", None) != "ENDPOINT_NOT_FOUND":
            raise


def tied_metric(progress: Progress, name: str, value: float, timestamp: int, step: int) -> Any:
    """Return a metric with the model and the data set that it belongs to, if they are known."""
    from mlflow.entities import Metric

    model = progress.models.get(step)
    context = "test" if name.startswith("eval/test_") else "train"
    dataset = None if name.startswith(NO_DATASET) else progress.datasets.get(context)
    return Metric(name, value, timestamp, step, model, *(dataset or (None, None)), progress.run_id)


def _find_models(client: Any, progress: Progress) -> None:
    """Find the models that MLflow already has, and their metrics; complete those whose creation was interrupted."""
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus

    outputs = client.get_run(progress.run_id).outputs
    known = {one.model_id for one in (outputs.model_outputs if outputs else [])}
    for model in models_of_run(client, str(progress.run_id)):
        if model.status == LoggedModelStatus.PENDING:
            client.finalize_logged_model(model.model_id, "READY")
        if model.model_id not in known:
            client.log_outputs(progress.run_id, [LoggedModelOutput(model.model_id, int(model.tags[STEP]))])
        progress.models[int(model.tags[STEP])] = model.model_id
        progress.tied |= {(metric.key, metric.step) for metric in model.metrics or []}


def _datasets(run: RunDirectory) -> dict[str, Any]:
    """Return an MLflow data set for each split; none before the first checkpoint, which records the data."""
    from mlflow.entities import Dataset

    try:
        fingerprint = trained_on(run)
    except InputError:  # a damaged checkpoint is no reason to mirror nothing
        return {}
    if fingerprint is None:
        return {}
    config = parse_yaml(run.read_config(), f"config.yaml of {run.name}")
    data: Mapping[str, Any] = config.get("data") or {} if isinstance(config, dict) else {}
    name, root = (printable(redact(str(data.get(key))), 200) for key in ("name", "root"))
    source = json.dumps({"uri": root if data.get("root") else name})
    # A digest changes with the data, and must differ between the splits, which have one fingerprint.
    digests = {context: hashlib.sha256(f"{context} {fingerprint}".encode()).hexdigest() for context in CONTEXTS}
    return {context: Dataset(name, digest[:DIGEST], "infomcr", source) for context, digest in digests.items()}
