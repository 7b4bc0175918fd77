"""Mirror a run directory in MLflow.

Every function may be repeated: what the store already holds is not written again. So a mirror that was interrupted, or
made anew in another store, ends up the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infomcr_cli.console.redaction import one_line, redact
from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.runs.directory import RunDirectory
from infomcr_cli.runs.lifecycle import note_mlflow_run
from infomcr_cli.runs.lock import locked_file
from infomcr_cli.runs.metrics import RewrittenError
from infomcr_cli.runs.status import State, Status, read_status
from infomcr_cli.tracking.client import (
    MAX_TAG,
    UID,
    Progress,
    connect,
    create_run,
    experiment_id,
    find_run,
    mlflow_state,
    store_lock,
)
from infomcr_cli.tracking.description import name_of, push_artifacts, push_description
from infomcr_cli.tracking.metrics import StaleMirrorError, push_measures, push_metrics
from infomcr_cli.tracking.models import delete_models, push_inputs, push_models
from infomcr_cli.tracking.store import Store

REASON = "infomcr.reason"


@dataclass(frozen=True)
class SyncedRun:
    """The result of mirroring one run.

    Args:
        state:         the run's own.
        store:         where it is mirrored, safe to print; None: it is mirrored nowhere.
        mlflow_run_id: there; None: it could not be mirrored.
        problem:       why not; None: MLflow holds all of it.
    """

    run: str
    state: State
    store: str | None
    mlflow_run_id: str | None
    problem: str | None = None


def sync_run(run: RunDirectory, store: Store | None) -> SyncedRun:
    """Mirror a run in a store and return the result, even if MLflow raises."""
    state = read_status(run).state
    if store is None:
        return SyncedRun(run.name, state, None, None, "its store is unknown here; give --tracking-uri")
    try:
        return SyncedRun(run.name, state, store.shown, mirror(run, store))
    except Exception as error:  # whatever MLflow raises, the other runs are still mirrored
        return SyncedRun(run.name, state, store.shown, None, one_line(error))


def mirror(
    run: RunDirectory,
    store: Store,
    *,
    client: Any = None,
    progress: Progress | None = None,
    tags: Mapping[str, str] | None = None,
) -> str:
    """Push everything of a run that MLflow does not have yet; return the MLflow run id.

    Args:
        client, progress: of a process that mirrors again and again; after a failure begin with a new Progress.
        tags: further tags, such as mlflow.parentRunId.

    Raises:
        InputError: a file of the run cannot be read; its state is pushed all the same.
        Exception: MLflow's own, where the store cannot be reached; nothing is lost, call again.
    """
    client = client if client is not None else connect(store)
    progress = progress if progress is not None else Progress()
    # In this order everywhere, so that two processes never wait for each other.
    with locked_file(run.path / ".mirror.lock"), store_lock(store):
        try:
            _sync_or_recreate(client, store, run, progress, tags or {})
        except RewrittenError:
            progress.reset()  # what the store holds by now is read again, so that nothing is logged twice
            _sync_or_recreate(client, store, run, progress, tags or {})
    assert progress.run_id is not None
    note_mlflow_run(run, progress.run_id)
    return progress.run_id


def _sync_or_recreate(
    client: Any, store: Store, run: RunDirectory, progress: Progress, tags: Mapping[str, str]
) -> None:
    try:
        _push(client, store, run, progress, tags)
    except StaleMirrorError:
        delete_models(client, str(progress.run_id))
        client.delete_run(progress.run_id)
        progress.reset()
        _push(client, store, run, progress, tags)


def _push(client: Any, store: Store, run: RunDirectory, progress: Progress, tags: Mapping[str, str]) -> None:
    status = read_status(run)
    is_new = progress.run_id is None
    if is_new:
        _find_or_create_run(client, store, run, status, progress)
    try:
        if is_new:
            push_description(client, run, status, progress.run_id, tags)
        push_metrics(client, run, status, progress)
        push_inputs(client, run, progress)
        push_models(client, run, progress)
        push_measures(client, run, progress)
        push_artifacts(client, run, progress)
    except InputError:
        _push_state(client, status, progress)
        raise
    _push_state(client, status, progress)


def _find_or_create_run(client: Any, store: Store, run: RunDirectory, status: Status, progress: Progress) -> None:
    """Find the run's mirror by its uid, never by an id that a directory claims, or make it."""
    experiment = experiment_id(client, store)
    found = find_run(client, experiment, status.uid)
    if found is None:
        progress.run_id = create_run(client, experiment, name_of(run, status), {UID: status.uid}, status.started)
        return
    progress.run_id = found
    names = client.get_run(found).data.metrics
    history = [(name, item) for name in names for item in client.get_metric_history(found, name)]
    progress.stored = {(name, item.step): item.value for name, item in history}


def _push_state(client: Any, status: Status, progress: Progress) -> None:
    if progress.state is status.state:
        return
    if status.reason:
        client.set_tag(progress.run_id, REASON, printable(redact(status.reason), MAX_TAG - 1))
    elif REASON in client.get_run(progress.run_id).data.tags:  # it was stopped, and then went on
        client.delete_tag(progress.run_id, REASON)
    if status.state is State.RUNNING:
        client.update_run(progress.run_id, status="RUNNING")
    else:
        end = None if status.ended is None else int(status.ended * 1000)
        client.set_terminated(progress.run_id, mlflow_state(status.state), end)
    progress.state = status.state
