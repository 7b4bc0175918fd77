"""Find MLflow runs whose directories were deleted by hand, and delete them in MLflow too.

A run counts as deleted only if three conditions hold: MLflow says that this program mirrored it from this machine; its
directory is gone, but the folder of runs around it is still there; and no other run directory in that folder has its
uid, as a renamed one has. MLflow keeps what is deleted until `mlflow gc`, and can restore it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.runs.directory import is_run
from infomcr_cli.runs.status import read_status_file
from infomcr_cli.tracking.client import HOST, KIND, UID, connect, store_lock
from infomcr_cli.tracking.models import delete_models
from infomcr_cli.tracking.moved_store import DIRECTORY_TAG
from infomcr_cli.tracking.store import Store, sqlite_path

_PAGE = 1000


@dataclass(frozen=True)
class DeletedRun:
    """A run in MLflow whose directory is gone.

    Attributes:
        name, directory: safe to print.
        store:           where it is, safe to print.
    """

    name: str
    directory: str
    mlflow_run_id: str
    store: str


def deleted_runs(store: Store) -> list[DeletedRun]:
    """Return the runs of all experiments of a store whose directories were deleted on this machine.

    A SQLite store that does not exist has none, and is not made.

    Raises:
        Exception: MLflow's own, if the store cannot be reached.
    """
    path = sqlite_path(store.uri)
    if path is not None and not path.exists():
        return []
    client = connect(store)
    experiments = [found.experiment_id for found in client.search_experiments()]
    uids: dict[Path, frozenset[str]] = {}  # each folder is read once, however many of its runs are gone
    gone = []
    for item in _mirrored(client, experiments):
        tags = item.data.tags
        place = Path(tags.get(DIRECTORY_TAG, ""))
        if not _is_ours(tags, store) or not place.is_absolute() or os.path.lexists(place):
            continue
        folder = place.parent
        if folder not in uids:
            uids[folder] = _uids_in(folder)
        if folder.is_dir() and tags[UID] not in uids[folder]:
            shown = (printable(item.info.run_name or place.name), printable(str(place)))
            gone.append(DeletedRun(*shown, str(item.info.run_id), store.shown))
    return gone


def delete_in_mlflow(store: Store, runs: list[DeletedRun]) -> Iterator[DeletedRun]:
    """Delete runs in MLflow.

    Yields:
        each run once it is deleted.

    Raises:
        Exception: MLflow's own, if the store cannot be reached.
    """
    client = connect(store)
    with store_lock(store):
        for run in runs:
            delete_models(client, run.mlflow_run_id)
            client.delete_run(run.mlflow_run_id)
            yield run


def _mirrored(client: Any, experiments: list[str]) -> Iterator[Any]:
    token = None
    while experiments:
        found = client.search_runs(experiments, f"tags.`{KIND}` = 'run'", max_results=_PAGE, page_token=token)
        yield from (item for item in found if UID in item.data.tags)
        token = found.token
        if not token:
            return


def _is_ours(tags: dict[str, str], store: Store) -> bool:
    """Return whether a run was mirrored from this machine; former versions did not note from which."""
    host = tags.get(HOST)
    return sqlite_path(store.uri) is not None if host is None else host == socket.gethostname()


def _uids_in(folder: Path) -> frozenset[str]:
    """Return the uids of the runs in a folder, whatever they are called now."""
    found = set()
    for path in folder.iterdir() if folder.is_dir() else ():
        try:
            if is_run(path):
                found.add(read_status_file(path).uid)
        except (InputError, OSError):
            continue
    return frozenset(found)
