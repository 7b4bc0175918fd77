"""Create MLflow runs about other runs: the parent of a sweep, a comparison; list the runs of an experiment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from infomcr_cli.runs.directory import RunDirectory
from infomcr_cli.runs.status import State, read_status
from infomcr_cli.tracking.client import (
    KIND,
    MAX_TAG,
    PARENT,
    UID,
    connect,
    create_run,
    experiment_id,
    find_run,
    log_numbers,
    mlflow_state,
    origin_tags,
    store_lock,
)
from infomcr_cli.tracking.moved_store import DIRECTORY_TAG
from infomcr_cli.tracking.store import Store


def start_parent(store: Store, name: str, uid: str, tags: Mapping[str, str] | None = None) -> str:
    """Return the MLflow run that groups others, such as a sweep's, creating it once per uid."""
    client = connect(store)
    with store_lock(store):
        experiment = experiment_id(client, store)
        found = find_run(client, experiment, uid)
        if found is not None:
            return found
        tags = {UID: uid, **origin_tags("sweep", f"The sweep {name}, the parent of its runs."), **(tags or {})}
        return create_run(client, experiment, name, tags, None)


def find_parent(store: Store, uid: str) -> str | None:
    """Return the MLflow run that `start_parent` created for a uid; None if the store has none."""
    client = connect(store)
    experiment = client.get_experiment_by_name(store.experiment)
    return None if experiment is None else find_run(client, experiment.experiment_id, uid)


def end_parent(store: Store, run_id: str, state: State) -> None:
    """Record how a grouping run ended."""
    client = connect(store)
    with store_lock(store):
        client.set_terminated(run_id, mlflow_state(state))


def log_to_parent(store: Store, uid: str, metrics: Mapping[str, float], artifacts: Iterable[Path]) -> None:
    """Add metrics and files to the run that groups others; does nothing if the store has none with that uid."""
    client = connect(store)
    found = find_parent(store, uid)
    if found is None:
        return
    with store_lock(store):
        log_numbers(client, found, metrics)
        for path in artifacts:
            client.log_artifact(found, str(path))


def log_comparison(
    store: Store,
    name: str,
    runs: Sequence[RunDirectory],
    metrics: Mapping[str, float],
    artifacts: Iterable[Path],
    *,
    parent: str | None = None,
    note: str | None = None,
) -> str:
    """Record a comparison as a separate run, with links to what it compared; return its MLflow run id.

    Args:
        note:      the result in Markdown; None: how many runs were compared.
        parent:    uid of the sweep whose runs are compared; the record becomes its child. None: there is none.
        metrics:   name → statistic; those that are not finite are left out.
        artifacts: tables and plots; compared.txt, the runs by their MLflow ids, is added to them.
    """
    client = connect(store)
    with store_lock(store):
        experiment = experiment_id(client, store)
        compared = [find_run(client, experiment, read_status(run).uid) or run.name for run in runs]
        note = note or f"The measures of {len(compared)} runs, ranked by how well they order the generalization gap."
        tags = {KIND: "comparison", "infomcr.compared": _as_many_as_fit(compared), **origin_tags("compare", note)}
        if parent is not None and (found := find_run(client, experiment, parent)) is not None:
            tags[PARENT] = found
        run_id = create_run(client, experiment, name, tags, None)
        with _ended(client, run_id):
            log_numbers(client, run_id, metrics)
            client.log_text(run_id, "".join(f"{one}\n" for one in compared), "compared.txt")
            for path in artifacts:
                client.log_artifact(run_id, str(path))
    return run_id


@contextmanager
def _ended(client: Any, run_id: str) -> Iterator[None]:
    """End a run with the block, as FAILED or KILLED if the block ends early."""
    try:
        yield
        client.set_terminated(run_id, "FINISHED")
    except BaseException as error:
        with suppress(Exception):  # the store may be unreachable, which is then the error itself
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
        found += [Path(item.data.tags[DIRECTORY_TAG]) for item in page if DIRECTORY_TAG in item.data.tags]
        token = page.token
        if not token:
            return found
