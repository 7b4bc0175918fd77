"""Connect to an MLflow store; find and create experiments and runs there.

A run is found by its uid, which is a tag, never by an id that a directory claims.
"""

from __future__ import annotations

import getpass
import logging
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infomcr_cli.console.redaction import redact
from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.imports import collector_paused
from infomcr_cli.runs.lock import locked_file
from infomcr_cli.runs.status import State
from infomcr_cli.tracking.moved_store import keep_default_artifacts, settle
from infomcr_cli.tracking.store import Store, sqlite_path, warn_of_network_file_system

UID, KIND, HOST = "infomcr.uid", "infomcr.kind", "infomcr.host"
PARENT, USER, NOTE = "mlflow.parentRunId", "mlflow.user", "mlflow.note.content"
SOURCE, SOURCE_TYPE = "mlflow.source.name", "mlflow.source.type"
MAX_NAME, MAX_TAG, METRICS_A_BATCH = 250, 5000, 1000  # of MLflow; servers, older ones too, take as much
_MLFLOW_STATES = {State.RUNNING: "RUNNING", State.FINISHED: "FINISHED", State.KILLED: "KILLED"}
_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # No retries by MLflow: a request whose answer was lost may have succeeded. The caller first reads what is there.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}


@dataclass
class Progress:
    """The progress of one process in mirroring one run.

    Args:
        run_id: in MLflow, once known.
        offset: bytes of metrics.jsonl that are mirrored.
        stored: (name, step) → value that the store held before this process came.
        sent:   artifact path → (size, time stamp) as last uploaded.
        state:  as last recorded.
        models: step → id of the LoggedModel of its checkpoint.
        tied:   (name, step) of the numbers that are tied to a model.
        datasets: "train" and "test" → name and digest of the data.
    """

    run_id: str | None = None
    offset: int = 0
    stored: dict[tuple[str, int], float] = field(default_factory=dict)
    sent: dict[str, tuple[int, int]] = field(default_factory=dict)
    state: State | None = None
    models: dict[int, str] = field(default_factory=dict)
    tied: set[tuple[str, int]] = field(default_factory=set)
    datasets: dict[str, tuple[str, str]] = field(default_factory=dict)

    def reset(self) -> None:
        """Start again, after a failure or with a new mirror."""
        self.__init__()  # type: ignore[misc]


def connect(store: Store) -> Any:
    """Return an MlflowClient; on a new SQLite store the first call creates the tables, one process at a time.

    Raises:
        Exception: MLflow's own, where the store cannot be reached.
    """
    client = import_mlflow()
    from mlflow.tracking._tracking_service import utils

    path = sqlite_path(store.uri)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        warn_of_network_file_system(path)
    with store_lock(store):
        if path is not None and not path.exists():
            _make_sqlite(path, str(store.artifacts))
        settle(store)
        # MLflow caches the artifact paths by run id, but a copied store has the ids of the original.
        getattr(utils, "_artifact_repos_cache", {}).clear()
        with collector_paused():  # it imports the store
            return client(tracking_uri=store.uri)


def import_mlflow() -> Any:
    """Import MlflowClient with MLflow's telemetry off and its log reduced to warnings."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    with collector_paused():
        from mlflow.tracking import MlflowClient

    # After the import, which sets the level of MLflow's own logger.
    for name, level in (("mlflow", logging.WARNING), ("alembic", logging.WARNING), ("urllib3", logging.ERROR)):
        logging.getLogger(name).setLevel(level)
    return MlflowClient


def _make_sqlite(path: Path, artifacts: str) -> None:
    """Create a store's tables in a temporary folder and move them into place; MLflow cannot continue migrations."""
    from mlflow.tracking import MlflowClient

    temporary = path.with_name(f".{path.name}.new")
    shutil.rmtree(temporary, ignore_errors=True)  # of a process that was killed here
    temporary.mkdir()
    MlflowClient(tracking_uri=f"sqlite:///{temporary / path.name}").search_experiments()  # the first call makes them
    keep_default_artifacts(temporary / path.name, artifacts)
    os.replace(temporary / path.name, path)
    shutil.rmtree(temporary)


@contextmanager
def store_lock(store: Store) -> Iterator[None]:
    """Lock a local store against other writers; a server does this itself."""
    if store.lock is None:
        yield
        return
    store.lock.parent.mkdir(parents=True, exist_ok=True)
    with locked_file(store.lock):
        yield


def experiment_id(client: Any, store: Store) -> str:
    """Return the id of the store's experiment, creating it if necessary, also from several processes at once.

    Raises:
        InputError: it was deleted in MLflow.
    """
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(store.experiment)
    if found is None:
        try:
            return str(client.create_experiment(store.experiment, artifact_location=store.artifacts))
        except MlflowException:  # another process may have created it meanwhile
            found = client.get_experiment_by_name(store.experiment)
            if found is None:
                raise
    if found.lifecycle_stage != "active":
        raise InputError(
            "tracking.experiment was deleted in MLflow",
            received=store.experiment,
            advice="Restore it in MLflow, or set tracking.experiment to another name.",
        )
    return str(found.experiment_id)


def find_run(client: Any, experiment: str, uid: str) -> str | None:
    """Return the MLflow id of the run with a uid; None if the experiment has none."""
    found = client.search_runs([experiment], f"tags.`{UID}` = '{uid}'", max_results=1)
    return str(found[0].info.run_id) if found else None


def create_run(client: Any, experiment: str, name: str, tags: Mapping[str, str], started: float | None) -> str:
    """Create a run and return its MLflow id."""
    start = None if started is None else int(started * 1000)
    shown = printable(redact(name), MAX_NAME - 1)
    return str(client.create_run(experiment, start_time=start, tags=dict(tags), run_name=shown).info.run_id)


def origin_tags(command: str, note: str) -> dict[str, str]:
    """Return the tags with which MLflow shows the user, the command and the description of a run."""
    tags = {SOURCE: f"infomcr {command}", SOURCE_TYPE: "LOCAL", NOTE: redact(note)}
    with suppress(OSError, KeyError, ImportError):  # a user without a name
        tags[USER] = getpass.getuser()
    lines = {name: "\n".join(map(printable, text.splitlines())) for name, text in tags.items()}
    return {name: text[: MAX_TAG - 1] for name, text in lines.items()}


def mlflow_state(state: State) -> str:
    """Return the state of a run in the terms of MLflow."""
    return _MLFLOW_STATES.get(state, "FAILED")


def log_numbers(client: Any, run_id: str, numbers: Mapping[str, float]) -> None:
    """Log the finite numbers among some, without a step."""
    from mlflow.entities import Metric

    metrics = [Metric(name, value, 0, 0) for name, value in numbers.items() if math.isfinite(value)]
    for start in range(0, len(metrics), METRICS_A_BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + METRICS_A_BATCH])
