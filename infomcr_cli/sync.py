"""The command `sync`: bring any MLflow store up to date with the run directories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from infomcr_cli.console.redaction import redact
from infomcr_cli.runs import RunDirectory, State, read_status
from infomcr_cli.tracking.known_stores import add_known_store, store_of_run
from infomcr_cli.tracking.store import Store

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Synced:
    """What became of one run.

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


def sync(paths: Sequence[str], *, tracking_uri: str | None = None) -> list[Synced]:
    """Mirror each run in its store, or in the one that is given.

    Raises:
        InputError: a path is no run, or tracking_uri is none; nothing was done then.
    """
    runs = [RunDirectory.open(path) for path in paths]
    add_known_store(tracking_uri)
    stores = [store_of_run(run, tracking_uri) for run in runs]
    return [_sync(run, store) for run, store in zip(runs, stores, strict=True)]


def document(synced: Sequence[Synced]) -> dict[str, Any]:
    """Return the JSON document of `sync --json`."""
    return {"runs": [asdict(one) for one in synced]}


def show(synced: Sequence[Synced], console: Console) -> None:
    """Print a line for each run."""
    for one in synced:
        what = one.problem or f"run {one.mlflow_run_id} of {one.store}"
        console.print(f"{one.run}  {one.state}  {what}", markup=False, highlight=False, soft_wrap=True)


def _sync(run: RunDirectory, store: Store | None) -> Synced:
    state = read_status(run).state
    if store is None:
        return Synced(run.name, state, None, None, "it names no store that is known here; give --tracking-uri")
    from infomcr_cli.tracking.sync import mirror

    try:
        return Synced(run.name, state, store.shown, mirror(run, store))
    except Exception as error:  # whatever MLflow raises: the other runs go on
        return Synced(run.name, state, store.shown, None, redact(" ".join(str(error).split())[:500]))
