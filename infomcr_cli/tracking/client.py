"""The mirror of a run in MLflow, the only file that imports it: the run directory is the truth, MLflow shows it.

Every function may be repeated: what the store already holds is not written again, so a mirror that was cut off, or made
anew in another store, ends up the same.
"""

from __future__ import annotations

import logging
import math
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infomcr_cli.console.redaction import has_secret, redact
from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.runs.directory import RunDirectory
from infomcr_cli.runs.io.safe_documents import parse_json, parse_yaml
from infomcr_cli.runs.lifecycle import note_mlflow_run
from infomcr_cli.runs.lock import locked_file
from infomcr_cli.runs.measures_file import PREFIX, measured_numbers
from infomcr_cli.runs.metrics import MetricsLine, MetricsLog, RewrittenError
from infomcr_cli.runs.status import State, Status, read_status
from infomcr_cli.tracking.moved_store import DIRECTORY_TAG, keep_default_artifacts, settle
from infomcr_cli.tracking.store import Store, sqlite_path, warn_of_network_file_system

UID, IDENTITY, KIND, REASON = (f"infomcr.{key}" for key in ("uid", "identity", "kind", "reason"))
DIRECTORY = DIRECTORY_TAG
NOT_COMPARED = ("timing/", PREFIX)
MAX_PARAM, MAX_TAG, METRICS_A_BATCH, PARAMS_A_BATCH = 6000, 5000, 1000, 100
ARTIFACT_SUFFIXES = {".png", ".svg", ".csv", ".json"}
DESCRIPTIONS = {"config.yaml", "overrides.yaml", "environment.json"}
_MLFLOW_STATES = {State.RUNNING: "RUNNING", State.FINISHED: "FINISHED", State.KILLED: "KILLED"}
_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # A request whose answer was lost may have been obeyed. Whoever tries again first reads what is there.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}


@dataclass
class Progress:
    """How far one process has come in mirroring one run.

    Args:
        run_id: in MLflow, once known.
        offset: bytes of metrics.jsonl that are mirrored.
        stored:   (name, step) → value that the store stored before this process came.
        sent:   artifact path → (size, time stamp) as last uploaded.
        state:  as last recorded.
    """

    run_id: str | None = None
    offset: int = 0
    stored: dict[tuple[str, int], float] = field(default_factory=dict)
    sent: dict[str, tuple[int, int]] = field(default_factory=dict)
    state: State | None = None

    def reset(self) -> None:
        """Begin anew, after a failure or with a new mirror."""
        self.__init__()  # type: ignore[misc]


def connect(store: Store) -> Any:
    """Return an MlflowClient; on a new SQLite store the first call creates the tables, one process at a time.

    Raises:
        Exception: MLflow's own, where the store cannot be reached.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    from mlflow.tracking import MlflowClient

    for name, level in (("mlflow", logging.WARNING), ("alembic", logging.WARNING), ("urllib3", logging.ERROR)):
        logging.getLogger(name).setLevel(level)

    path = sqlite_path(store.uri)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        warn_of_network_file_system(path)
    with store_lock(store):
        if path is not None and not path.exists():
            _make_sqlite(path, str(store.artifacts))
        settle(store)
        _forget_places()
        return MlflowClient(tracking_uri=store.uri)


def _forget_places() -> None:
    """MLflow remembers places of artifacts by run ids, which a copied store shares with the original."""
    from mlflow.tracking._tracking_service import utils

    getattr(utils, "_artifact_repos_cache", {}).clear()


def _make_sqlite(path: Path, artifacts: str) -> None:
    """Make a store's tables in a temporary folder and move them into place whole: MLflow cannot continue migrations."""
    from mlflow.tracking import MlflowClient

    temporary = path.with_name(f".{path.name}.new")
    shutil.rmtree(temporary, ignore_errors=True)  # of a process that was killed here
    temporary.mkdir()
    MlflowClient(tracking_uri=f"sqlite:///{temporary / path.name}").search_experiments()
    keep_default_artifacts(temporary / path.name, artifacts)
    os.replace(temporary / path.name, path)
    shutil.rmtree(temporary)


@contextmanager
def store_lock(store: Store) -> Iterator[None]:
    """Take turns with the other writers of a local store; a server orders them by itself."""
    if store.lock is None:
        yield
        return
    store.lock.parent.mkdir(parents=True, exist_ok=True)
    with locked_file(store.lock):
        yield


def mirror(
    run: RunDirectory,
    store: Store,
    *,
    client: Any = None,
    progress: Progress | None = None,
    tags: Mapping[str, str] | None = None,
) -> str:
    """Push into MLflow whatever of a run it does not hold yet; return the MLflow run id.

    Args:
        client, progress: of a process that mirrors again and again; after a failure begin with a new Progress.
        tags: further tags, such as mlflow.parentRunId.

    Raises:
        InputError: a file of the run cannot be read; its state is pushed all the same.
        Exception: MLflow's own, where the store cannot be reached; nothing is lost, call again.
    """
    client = client if client is not None else connect(store)
    progress = progress if progress is not None else Progress()
    with locked_file(run.path / ".mirror.lock"), store_lock(store):
        try:
            _sync_or_recreate(client, store, run, progress, tags or {})
        except RewrittenError:
            progress.reset()  # what the store holds by now is read again, so that nothing is logged twice
            _sync_or_recreate(client, store, run, progress, tags or {})
    assert progress.run_id is not None
    note_mlflow_run(run, progress.run_id)
    return progress.run_id


def experiment_id(client: Any, store: Store) -> str:
    """Return the id of the store's experiment, made where it is missing, also when several processes ask at once.

    Raises:
        InputError: it was deleted in MLflow.
    """
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(store.experiment)
    if found is None:
        try:
            return str(client.create_experiment(store.experiment, artifact_location=store.artifacts))
        except MlflowException:
            found = client.get_experiment_by_name(store.experiment)
            if found is None:
                raise
    if found.lifecycle_stage != "active":
        raise InputError(
            "tracking.experiment must not be deleted in MLflow",
            received=store.experiment,
            advice="Restore it there or give tracking.experiment another name.",
        )
    return str(found.experiment_id)


def start_parent(store: Store, name: str, uid: str, tags: Mapping[str, str] | None = None) -> str:
    """Return the MLflow run that groups others, such as a sweep's; made once for each uid."""
    client = connect(store)
    with store_lock(store):
        experiment = experiment_id(client, store)
        found = _find(client, experiment, uid)
        if found is not None:
            return found
        return _create(client, experiment, name, {UID: uid, **(tags or {})}, None)


def find_parent(store: Store, uid: str) -> str | None:
    """Return the MLflow run that `start_parent` made for a uid; None: the store holds none."""
    client = connect(store)
    experiment = client.get_experiment_by_name(store.experiment)
    return None if experiment is None else _find(client, experiment.experiment_id, uid)


def end_parent(store: Store, run_id: str, state: State) -> None:
    """Record how a grouping run ended."""
    client = connect(store)
    with store_lock(store):
        client.set_terminated(run_id, _mlflow_state(state))


def log_comparison(
    store: Store, name: str, runs: Sequence[RunDirectory], metrics: Mapping[str, float], artifacts: Iterable[Path]
) -> str:
    """Record a comparison as a separate run, with links to what it compared; return its MLflow run id.

    Args:
        metrics:   name → statistic; those that are not finite are left out.
        artifacts: tables and plots; compared.txt, the runs by their MLflow ids, is added to them.
    """
    client = connect(store)
    with store_lock(store):
        experiment = experiment_id(client, store)
        compared = [_find(client, experiment, read_status(run).uid) or run.name for run in runs]
        tags = {KIND: "comparison", "infomcr.compared": _as_many_as_fit(compared)}
        run_id = _create(client, experiment, name, tags, None)
        with _ended(client, run_id):
            _log_numbers(client, run_id, metrics)
            client.log_text(run_id, "".join(f"{one}\n" for one in compared), "compared.txt")
            for path in artifacts:
                client.log_artifact(run_id, str(path))
    return run_id


@contextmanager
def _ended(client: Any, run_id: str) -> Iterator[None]:
    """End a run with the block, as FAILED or KILLED where that ends early."""
    try:
        yield
        client.set_terminated(run_id, "FINISHED")
    except BaseException as error:
        with suppress(Exception):  # the store may be gone, which is then the error itself
            client.set_terminated(run_id, "FAILED" if isinstance(error, Exception) else "KILLED")
        raise


def _as_many_as_fit(ids: Sequence[str]) -> str:
    text = ",".join(ids)
    return text if len(text) <= MAX_TAG else text[: MAX_TAG + 1].rpartition(",")[0]


def run_directories_of_experiment(store: Store) -> list[Path]:
    """Return the directories of all runs of the store's experiment that were on this machine, by start time."""
    client = connect(store)
    experiment = client.get_experiment_by_name(store.experiment)
    if experiment is None:
        return []
    found, token = [], None
    while True:
        page = client.search_runs(
            [experiment.experiment_id],
            f"tags.`{UID}` != ''",
            max_results=1000,
            order_by=["start_time"],
            page_token=token,
        )
        found += [Path(item.data.tags[DIRECTORY]) for item in page if DIRECTORY in item.data.tags]
        token = page.token
        if not token:
            return found


class _StaleMirrorError(Exception):
    """The store holds a number that the directory contradicts."""


def _sync_or_recreate(
    client: Any, store: Store, run: RunDirectory, progress: Progress, tags: Mapping[str, str]
) -> None:
    try:
        _push(client, store, run, progress, tags)
    except _StaleMirrorError:
        client.delete_run(progress.run_id)
        progress.reset()
        _push(client, store, run, progress, tags)


def _push(client: Any, store: Store, run: RunDirectory, progress: Progress, tags: Mapping[str, str]) -> None:
    status = read_status(run)
    if progress.run_id is None:
        _find_or_create_run(client, store, run, status, progress)
        _push_description(client, run, status, progress.run_id, tags)
    try:
        _push_metrics(client, run, status, progress)
        _push_measures(client, run, progress)
        _push_artifacts(client, run, progress)
    except InputError:
        _push_state(client, status, progress)
        raise
    _push_state(client, status, progress)


def _find_or_create_run(client: Any, store: Store, run: RunDirectory, status: Status, progress: Progress) -> None:
    """Find the run's mirror by its uid, never by an id that a directory claims, or make it."""
    experiment = experiment_id(client, store)
    found = _find(client, experiment, status.uid)
    if found is None:
        progress.run_id = _create(client, experiment, run.name, {UID: status.uid}, status.started)
        return
    progress.run_id = found
    names = client.get_run(found).data.metrics
    history = [(name, item) for name in names for item in client.get_metric_history(found, name)]
    progress.stored = {(name, item.step): item.value for name, item in history}


def _find(client: Any, experiment: str, uid: str) -> str | None:
    found = client.search_runs([experiment], f"tags.`{UID}` = '{uid}'", max_results=1)
    return str(found[0].info.run_id) if found else None


def _create(client: Any, experiment: str, name: str, tags: Mapping[str, str], started: float | None) -> str:
    start = None if started is None else int(started * 1000)
    return str(client.create_run(experiment, start_time=start, tags=dict(tags), run_name=name).info.run_id)


def _push_description(
    client: Any, run: RunDirectory, status: Status, run_id: str | None, extra: Mapping[str, str]
) -> None:
    from mlflow.entities import Param, RunTag

    config = parse_yaml(run.read_config(), f"config.yaml of {run.name}")
    known = client.get_run(run_id).data.params
    params = [Param(key, value) for key, value in flatten(config).items() if key not in known]
    own = {IDENTITY: status.identity, DIRECTORY: str(run.path), KIND: "run"}
    tags = {**_choices(config), **_commit(run), **own, **extra}
    client.log_batch(run_id, tags=[RunTag(key, printable(value, MAX_TAG - 1)) for key, value in tags.items()])
    for start in range(0, len(params), PARAMS_A_BATCH):
        client.log_batch(run_id, params=params[start : start + PARAMS_A_BATCH])


def flatten(value: Any, prefix: str = "") -> dict[str, str]:
    """Return nested settings as dotted names, with values cut to MLflow's limit (config.yaml holds them whole).

    Example: flatten({"reg": {"alpha": 1e-4}}) is {"reg.alpha": "0.0001"}.
    """
    if isinstance(value, Mapping):
        pairs = [flatten(inner, f"{prefix}{key}.") for key, inner in value.items()]
        return {name: text for part in pairs for name, text in part.items()}
    name = "".join(c if c.isalnum() or c in "_-. /" else "_" for c in prefix.rstrip("."))[:250]
    return {name: printable(redact(str(value)), MAX_PARAM - 1)} if name else {}


def _choices(config: Any) -> dict[str, str]:
    groups = config if isinstance(config, dict) else {}
    named = {key: value["name"] for key, value in groups.items() if isinstance(value, dict) and "name" in value}
    return {f"infomcr.{printable(str(key), 100)}": str(name) for key, name in named.items()}


def _commit(run: RunDirectory) -> dict[str, str]:
    try:
        record = parse_json(run.read("environment.json"), f"environment.json of {run.name}")
    except FileNotFoundError:
        return {}
    commit = record.get("commit") if isinstance(record, dict) else None
    return {"mlflow.source.git.commit": str(commit).removesuffix("+changes")} if commit else {}


def _push_metrics(client: Any, run: RunDirectory, status: Status, progress: Progress) -> None:
    lines, offset = MetricsLog(run).read_from(progress.offset)
    metrics = [metric for line in lines for metric in _metrics_of(line)]
    last_step = max((line.step for line in lines), default=-1)
    if progress.offset == 0 and status.state is not State.RUNNING:
        _refuse_steps_after(last_step, progress.stored)
    _refuse_contradictions(metrics, progress.stored)
    new = [metric for metric in metrics if (metric.key, metric.step) not in progress.stored]
    for start in range(0, len(new), METRICS_A_BATCH):
        client.log_batch(progress.run_id, metrics=new[start : start + METRICS_A_BATCH])
    progress.offset = offset


def _push_measures(client: Any, run: RunDirectory, progress: Progress) -> None:
    """Log what was measured; measured anew, the later value is the one that MLflow shows."""
    from mlflow.entities import Metric

    now = int(1000 * time.time())
    numbers = {(one.name, one.step): one.value for one in measured_numbers(run)}
    new = [
        key for key, value in numbers.items() if key not in progress.stored or not _same(value, progress.stored[key])
    ]
    metrics = [Metric(name, numbers[name, step], now, step) for name, step in new]
    for start in range(0, len(metrics), METRICS_A_BATCH):
        client.log_batch(progress.run_id, metrics=metrics[start : start + METRICS_A_BATCH])
    progress.stored.update(numbers)


def _refuse_steps_after(last: int, stored: Mapping[tuple[str, int], float]) -> None:
    """A run that continues will log them again; one that ended never had them."""
    if any(step > last and not name.startswith(NOT_COMPARED) for name, step in stored):
        raise _StaleMirrorError


def _refuse_contradictions(metrics: Sequence[Any], stored: Mapping[tuple[str, int], float]) -> None:
    for metric in metrics:
        mirrored = stored.get((metric.key, metric.step))
        if mirrored is not None and not metric.key.startswith(NOT_COMPARED) and not _same(metric.value, mirrored):
            raise _StaleMirrorError


def _metrics_of(line: MetricsLine) -> list[Any]:
    from mlflow.entities import Metric

    timing = {f"timing/{name}": value for name, value in line.timing.items() if name != "time"}
    stamp = int(1000 * line.timing.get("time", 0.0))
    return [Metric(name, value, stamp, line.step) for name, value in {**line.values, **timing}.items()]


def _same(truth: float, mirrored: float) -> bool:
    # SQL stores keep an infinity as the largest number.
    return (
        truth == mirrored
        or (math.isnan(truth) and math.isnan(mirrored))
        or (math.isinf(truth) and abs(mirrored) > 1.7e308 and (truth > 0) == (mirrored > 0))
        or math.isclose(truth, mirrored, rel_tol=1e-12)
    )


def _push_artifacts(client: Any, run: RunDirectory, progress: Progress) -> None:
    for path in _artifacts(run):
        info = path.stat()
        stamp = (info.st_size, info.st_mtime_ns)
        relative = str(path.relative_to(run.path))
        if progress.sent.get(relative) != stamp:
            _push_artifact(client, path, relative, str(progress.run_id))
            progress.sent[relative] = stamp


def _push_artifact(client: Any, path: Path, relative: str, run_id: str) -> None:
    """Upload a file; a text that holds a secret of this user's environment goes without it."""
    if relative in DESCRIPTIONS and has_secret(text := path.read_text(encoding="utf-8", errors="replace")):
        client.log_text(run_id, redact(text), relative)
    else:
        folder, _, _ = relative.rpartition("/")
        client.log_artifact(run_id, str(path), folder or None)


def _artifacts(run: RunDirectory) -> list[Path]:
    plots = sorted(run.plots.glob("*")) if run.plots.is_dir() else []
    plots = [path for path in plots if path.suffix in ARTIFACT_SUFFIXES and not path.name.startswith(".")]
    files = [run.config, run.overrides, run.environment, run.measures, *plots]
    return [path for path in files if path.is_file() and not path.is_symlink() and path.name.isprintable()]


def _push_state(client: Any, status: Status, progress: Progress) -> None:
    if progress.state is status.state:
        return
    if status.reason:
        client.set_tag(progress.run_id, REASON, printable(redact(status.reason), MAX_TAG - 1))
    if status.state is State.RUNNING:
        client.update_run(progress.run_id, status="RUNNING")
    else:
        end = None if status.ended is None else int(status.ended * 1000)
        client.set_terminated(progress.run_id, _mlflow_state(status.state), end)
    progress.state = status.state


def _mlflow_state(state: State) -> str:
    return _MLFLOW_STATES.get(state, "FAILED")


def _log_numbers(client: Any, run_id: str, numbers: Mapping[str, float]) -> None:
    from mlflow.entities import Metric

    metrics = [Metric(name, value, 0, 0) for name, value in numbers.items() if math.isfinite(value)]
    for start in range(0, len(metrics), METRICS_A_BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + METRICS_A_BATCH])
