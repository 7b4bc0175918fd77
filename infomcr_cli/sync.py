"""The command `sync`: bring any MLflow store up to date with the run directories."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infomcr_cli.console.redaction import one_line
from infomcr_cli.errors import InputError
from infomcr_cli.exchange.uploads import upload_recorded_checkpoints
from infomcr_cli.runs import RunDirectory, State
from infomcr_cli.runs.surroundings import existing_store_folder
from infomcr_cli.tracking.known_stores import add_known_store, store_of_run
from infomcr_cli.tracking.store import Store, store_of
from infomcr_cli.tracking.sync import SyncedRun, sync_run

if TYPE_CHECKING:
    from infomcr_cli.tracking.prune import DeletedRun


@dataclass(frozen=True)
class PruneRequest:
    """Delete runs in MLflow whose directories were deleted by hand.

    Attributes:
        confirm:  returns whether these runs are to be deleted.
        runs_dir: the folder of runs whose store is searched if no run is named.
    """

    confirm: Callable[[Sequence[DeletedRun]], bool]
    runs_dir: Path = Path("runs")


@dataclass(frozen=True)
class SyncResult:
    """What became of each run.

    Attributes:
        deleted: runs that were deleted in MLflow, since their directories are gone; None: that was not requested.
        problems: of stores in which not all of this could be deleted.
    """

    runs: tuple[SyncedRun, ...]
    deleted: tuple[DeletedRun, ...] | None = None
    problems: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """1 if a run could not be mirrored, or deleted in MLflow."""
        return int(bool(self.problems) or any(run.problem for run in self.runs))

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document of `sync --json`."""
        document: dict[str, Any] = {"runs": [asdict(run) for run in self.runs]}
        if self.deleted is None:
            return document
        return document | {"deleted": [asdict(run) for run in self.deleted], "problems": list(self.problems)}

    def renderables(self, width: int) -> Iterator[str]:
        """Yield a line for each run, and for each that was deleted."""
        for run in self.runs:
            yield f"{run.run}  {run.state}  {run.problem or f'run {run.mlflow_run_id} of {run.store}'}"
        for gone in self.deleted or ():
            yield f"{gone.name}  deleted in MLflow  run {gone.mlflow_run_id} of {gone.store}"
        yield from self.problems
        if self.deleted is not None and not self.deleted:
            yield "Nothing was deleted in MLflow."


def sync(
    paths: Sequence[str],
    *,
    tracking_uri: str | None = None,
    prune: PruneRequest | None = None,
    checkpoints: str | None = None,
) -> SyncResult:
    """Mirror each run in its store, or in the given one; then delete there what was deleted here, if requested.

    Args:
        paths:        run directories, or quoted patterns of them such as 'runs/*'.
        tracking_uri: the store; None: each run's own.
        prune:        what to delete; None: nothing.
        checkpoints:  whose weights to upload: "none", "best", "last" or "all"; None: as each run's settings say.

    Raises:
        InputError: a path is not a run, tracking_uri is not a store, or nothing is named; nothing was done then.
    """
    if not paths and prune is None:
        raise InputError("sync needs run directories", received="none", advice="Give some, such as runs/*, or --prune.")
    # The shell does not expand a quoted pattern. A path that exists, or matches nothing, stands for itself.
    named = [[path] if os.path.lexists(path) else sorted(glob(path)) or [path] for path in paths]
    runs = [RunDirectory.open(path) for matches in named for path in matches]
    add_known_store(tracking_uri)
    stores = [store_of_run(run, tracking_uri) for run in runs]
    others: list[Store] = []
    if not paths and prune is not None:
        folder = existing_store_folder(prune.runs_dir)
        others.append(store_of(tracking_uri, None, prune.runs_dir, folder=folder))
    synced = tuple(_sync(run, store, checkpoints) for run, store in zip(runs, stores, strict=True))
    if prune is None:
        return SyncResult(synced)
    known = {store.uri: store for store in [*stores, *others] if store is not None}
    pruned = [_pruned(store, prune) for store in known.values()]
    deleted = tuple(run for runs, _ in pruned for run in runs)
    return SyncResult(synced, deleted, tuple(problem for _, problem in pruned if problem))


def _sync(run: RunDirectory, store: Store | None, checkpoints: str | None) -> SyncedRun:
    synced = sync_run(run, store)
    if store is None or synced.problem or synced.state is State.RUNNING:
        return synced
    return replace(synced, problem=upload_recorded_checkpoints(run, store, checkpoints))


def _pruned(store: Store, prune: PruneRequest) -> tuple[list[DeletedRun], str | None]:
    """Delete in MLflow, after confirmation, the runs of a store whose directories are gone.

    Returns:
        the deleted runs, and why not all could be deleted; None: all were.
    """
    from infomcr_cli.tracking.prune import delete_in_mlflow, deleted_runs

    deleted: list[DeletedRun] = []
    try:
        gone = deleted_runs(store)
    except Exception as error:  # whatever MLflow raises, the other stores are still searched
        return [], f"{store.shown} could not be searched for deleted runs: {one_line(error)}"
    if not gone or not prune.confirm(gone):
        return [], None
    try:
        deleted.extend(delete_in_mlflow(store, gone))  # keeps what came before an exception
    except Exception as error:
        left = len(gone) - len(deleted)
        return deleted, f"{left} of {len(gone)} runs could not be deleted in {store.shown}: {one_line(error)}"
    return deleted, None
