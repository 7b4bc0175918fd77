"""Delete the mirror of a run in MLflow, where it can still be restored until `mlflow gc`."""

from __future__ import annotations

from pathlib import Path

from infomcr_cli.console.redaction import redact
from infomcr_cli.errors import InputError
from infomcr_cli.runs.directory import RunDirectory
from infomcr_cli.runs.status import read_status_file
from infomcr_cli.tracking.client import connect, find_run, store_lock
from infomcr_cli.tracking.known_stores import add_known_store, store_of_run
from infomcr_cli.tracking.models import delete_models
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


def delete_mirror(store: Store, uid: str) -> tuple[str | None, str | None]:
    """Delete the MLflow run with a uid; return its id, if any, and the reason for a failure, if any."""
    try:
        client = connect(store)
        with store_lock(store):
            found = client.get_experiment_by_name(store.experiment)
            run_id = None if found is None else find_run(client, found.experiment_id, uid)
            if run_id is not None:
                delete_models(client, run_id)
                client.delete_run(run_id)
        return run_id, None
    except Exception as error:  # whatever MLflow raises, the directory has been moved
        return None, redact(" ".join(str(error).split())[:500])
