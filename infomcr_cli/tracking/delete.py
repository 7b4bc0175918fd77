"""Delete the mirror of a run in MLflow, where it can still be restored until `mlflow gc`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infomcr_cli.console.redaction import one_line
from infomcr_cli.errors import InputError
from infomcr_cli.runs.directory import RunDirectory, is_run
from infomcr_cli.runs.status import read_status_file
from infomcr_cli.tracking.client import connect, find_run, store_lock
from infomcr_cli.tracking.known_stores import add_known_store, store_of_run
from infomcr_cli.tracking.models import delete_models
from infomcr_cli.tracking.moved_store import DIRECTORY_TAG
from infomcr_cli.tracking.store import Store, sqlite_path


def store_of_mirror(run: RunDirectory, tracking_uri: str | None = None) -> tuple[Store | None, str | None]:
    """Return the store with the mirror of a run, or the reason why it is unknown.

    Both are None for a run that was never mirrored.

    Raises:
        InputError: tracking_uri is none.
    """
    add_known_store(tracking_uri)
    try:
        store = store_of_run(run, tracking_uri)
    except InputError as error:
        if tracking_uri is not None:
            raise
        return None, str(error)
    path = None if store is None else sqlite_path(store.uri)
    if store is not None and (path is None or Path(path).exists()):
        return store, None
    if read_status_file(run.path).mlflow_run_id is None:
        return None, None
    return None, "its run in MLflow was not deleted, because its store is unknown here; give --tracking-uri"


@dataclass(frozen=True)
class DeletedMirror:
    """What became of the mirror of a run that was deleted.

    Args:
        run_id:  in MLflow, if it was deleted there.
        problem: why that failed; None: it did not.
        kept_for: the directory of another copy of the run, whose mirror it is; None: there is none.
    """

    run_id: str | None = None
    problem: str | None = None
    kept_for: Path | None = None


def delete_mirror(store: Store, uid: str) -> DeletedMirror:
    """Delete the MLflow run with a uid, unless a directory that is still there is mirrored by it: `cp -r` copies uids.

    Args:
        uid: of a run whose directory has been moved to the trash.
    """
    try:
        client = connect(store)
        with store_lock(store):
            found = client.get_experiment_by_name(store.experiment)
            run_id = None if found is None else find_run(client, found.experiment_id, uid)
            if run_id is None:
                return DeletedMirror()
            if copy := _other_copy(client, run_id, uid):
                return DeletedMirror(kept_for=copy)
            delete_models(client, run_id)
            client.delete_run(run_id)
        return DeletedMirror(run_id)
    except Exception as error:  # whatever MLflow raises, the directory has been moved
        return DeletedMirror(problem=one_line(error))


def _other_copy(client: Any, run_id: str, uid: str) -> Path | None:
    """Return the directory that was last mirrored in an MLflow run, if it is there and still is that run."""
    place = Path(client.get_run(run_id).data.tags.get(DIRECTORY_TAG, ""))
    is_there = place.is_absolute() and is_run(place)
    return place if is_there and read_status_file(place).uid == uid else None
