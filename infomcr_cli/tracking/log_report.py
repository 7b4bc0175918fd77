"""Upload the report of a run to MLflow, as an artifact of its run."""

from __future__ import annotations

import logging

from infomcr_cli.console.redaction import redact
from infomcr_cli.console.suggestions import suggested_command
from infomcr_cli.runs.directory import RunDirectory
from infomcr_cli.runs.status import State, read_status
from infomcr_cli.tracking.client import connect, experiment_id, find_run
from infomcr_cli.tracking.known_stores import store_of_run
from infomcr_cli.tracking.store import Store, sqlite_path
from infomcr_cli.tracking.sync import mirror

_log = logging.getLogger("infomcr.runs")


def log_report(run: RunDirectory, page: str, name: str, tracking_uri: str | None = None) -> str | None:
    """Bring a run's MLflow run up to date, log a page as its artifact, and return its id.

    The page comes from this process, never from a file of the run's directory: MLflow shows it to anyone who opens it.

    Args:
        name:         of the artifact.
        tracking_uri: another store than the run's own.

    Returns:
        None: the run is not mirrored, its store does not exist yet, or cannot be reached; a warning says so.
    """
    try:
        store = store_of_run(run, tracking_uri)
        path = None if store is None else sqlite_path(store.uri)
        if store is None or (path is not None and not path.exists()):
            return None
        run_id = _mirrored(run, store)
        if run_id is not None:
            connect(store).log_text(run_id, page, name)
    except Exception as error:  # MLflow raises whatever its store raises; the page itself is written
        again = suggested_command("report", run.path)
        _log.warning(
            "Could not upload the report to MLflow: %s. Retry later: %s",
            redact(" ".join(str(error).split())[:300]),
            again,
        )
        return None
    return run_id


def _mirrored(run: RunDirectory, store: Store) -> str | None:
    """Return the id of the run's mirror; only its own process mirrors a run in training."""
    status = read_status(run)
    if status.state is not State.RUNNING:
        return mirror(run, store)
    client = connect(store)
    return find_run(client, experiment_id(client, store), status.uid)
