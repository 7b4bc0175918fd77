"""The command `sync`: bring any MLflow store up to date with the run directories."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from infomcr_cli.runs import RunDirectory
from infomcr_cli.tracking.known_stores import add_known_store, store_of_run
from infomcr_cli.tracking.sync import SyncedRun, sync_run


@dataclass(frozen=True)
class SyncResult:
    """What became of each run."""

    runs: tuple[SyncedRun, ...]

    @property
    def exit_code(self) -> int:
        """1 if a run could not be mirrored."""
        return int(any(run.problem for run in self.runs))

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document of `sync --json`."""
        return {"runs": [asdict(run) for run in self.runs]}

    def renderables(self, width: int) -> Iterator[str]:
        """Yield a line for each run."""
        for run in self.runs:
            yield f"{run.run}  {run.state}  {run.problem or f'run {run.mlflow_run_id} of {run.store}'}"


def sync(paths: Sequence[str], *, tracking_uri: str | None = None) -> SyncResult:
    """Mirror each run in its store, or in the one that is given.

    Raises:
        InputError: a path is not a run, or tracking_uri is not a store; nothing was done then.
    """
    runs = [RunDirectory.open(path) for path in paths]
    add_known_store(tracking_uri)
    stores = [store_of_run(run, tracking_uri) for run in runs]
    return SyncResult(tuple(sync_run(run, store) for run, store in zip(runs, stores, strict=True)))
