"""The command `delete`: move runs to the trash of their folder, and delete them in MLflow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from infomcr_cli.console.suggestions import shortest_path, suggested_command
from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.runs import RunDirectory, read_status
from infomcr_cli.runs.trash import check_deletable, move_to_trash
from infomcr_cli.tracking.delete import delete_mirror, store_of_mirror
from infomcr_cli.tracking.store import Store


@dataclass(frozen=True)
class RunToDelete:
    """A run that is to be deleted.

    Args:
        size:    bytes of its directory.
        problem: why its run in MLflow will stay; None: it is deleted too, or there is none.
    """

    directory: RunDirectory
    state: str
    step: int
    size: int
    store: Store | None
    problem: str | None

    @property
    def line(self) -> str:
        """What is to be deleted, safe to print."""
        mlflow = self.problem or ("not in MLflow" if self.store is None else f"and its run in {self.store.shown}")
        place = printable(str(shortest_path(self.directory.path)))
        return f"{place}  {self.state}, step {self.step}, {self.size / 1e6:.1f} MB, {mlflow}"


@dataclass(frozen=True)
class RemovedRun:
    """What became of a run.

    Args:
        path:    where it was.
        trash:   where it is now; None: it stayed.
        mlflow_run_id: of its run that was deleted in MLflow; None: none was.
        problem: what could not be done.
        note:    why its run in MLflow stays although nothing failed; None: it does not stay.
    """

    run: str
    path: str
    trash: str | None
    mlflow_run_id: str | None
    problem: str | None = None
    note: str | None = None


@dataclass(frozen=True)
class DeleteResult:
    """What became of the runs; none if it was not confirmed."""

    runs: tuple[RemovedRun, ...]

    @property
    def exit_code(self) -> int:
        """1 if a run could not be deleted, here or in MLflow."""
        return int(any(run.problem for run in self.runs))

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document of `delete --json`."""
        return {"deleted": [asdict(run) for run in self.runs]}

    def renderables(self, width: int) -> Iterator[str]:
        """Yield a line for each run."""
        for run in self.runs:
            words = [run.run, f"is in {shortest_path(Path(run.trash))}" if run.trash else "stays"]
            words += [f"run {run.mlflow_run_id} deleted in MLflow"] if run.mlflow_run_id else []
            yield "  ".join((*words, *filter(None, (run.problem, run.note))))
        if not self.runs:
            yield "Nothing was deleted."


def delete_runs(
    paths: Sequence[str],
    *,
    confirm: Callable[[Sequence[RunToDelete]], bool],
    tracking_uri: str | None = None,
) -> DeleteResult:
    """Move runs to the trash, after confirmation; nothing is done if one of them cannot be.

    Raises:
        InputError: a path is no run, or a run is running.
    """
    runs = {run.path: run for run in map(RunDirectory.open, paths)}
    for run in runs.values():
        check_deletable(run)
    going = []
    for run in runs.values():
        status = read_status(run)
        size = sum(path.lstat().st_size for path in run.path.rglob("*"))
        going.append(RunToDelete(run, str(status.state), status.step, size, *store_of_mirror(run, tracking_uri)))
    if not confirm(going):
        return DeleteResult(())
    return DeleteResult(tuple(_delete(one) for one in going))


def _delete(going: RunToDelete) -> RemovedRun:
    """Move a run, then delete it in MLflow: what fails there, `sync --prune` can still do."""
    run, uid = going.directory, read_status(going.directory).uid  # the uid before the directory is moved
    name, path = run.name, printable(str(run.path), 4096)
    try:
        trash = printable(str(move_to_trash(run)), 4096)
    except (InputError, OSError) as error:
        return RemovedRun(name, path, None, None, printable(str(error)))
    if going.store is None:
        return RemovedRun(name, path, trash, None, going.problem)
    mirror = delete_mirror(going.store, uid)
    problem = note = None
    if mirror.problem is not None:
        folder = str(shortest_path(run.path.parent))
        options = () if folder == "runs" else ("--runs-dir", folder)  # "runs" is the default
        problem = f"MLflow: {mirror.problem}. Later: {suggested_command('sync', '--prune', *options)}"
    if mirror.kept_for is not None:
        note = f"its run in MLflow stays, because it is also the one of {printable(str(mirror.kept_for), 4096)}"
    return RemovedRun(name, path, trash, mirror.run_id, problem, note)
