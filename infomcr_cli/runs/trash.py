"""The trash of a folder of runs: `.trash/` in it, so that to move a run there is one renaming on the same disk."""

from __future__ import annotations

import os
from pathlib import Path

from infomcr_cli.errors import InputError
from infomcr_cli.runs.directory import AUDITS, RunDirectory, is_run
from infomcr_cli.runs.lock import lock_run
from infomcr_cli.runs.status import State, read_status

TRASH = ".trash"


def check_deletable(run: RunDirectory) -> None:
    """Raise unless a run may be moved to the trash.

    Raises:
        InputError: it is running, or is in the trash already.
    """
    if run.path.parent.name == TRASH:
        raise InputError("the run is already in the trash", received=str(run.path), advice="Remove it with rm -r.")
    for path in (run.path, *sorted((run.path / AUDITS).glob("*"))):  # those were trained by `infomcr audit`
        if is_run(path) and _is_running(path):
            raise InputError(
                "a running run cannot be deleted", received=path.name, advice="Wait for it, or stop its process."
            )


def _is_running(path: Path) -> bool:
    try:
        return read_status(RunDirectory.open(path)).state is State.RUNNING
    except InputError:  # damaged: nothing updates it
        return False


def move_to_trash(run: RunDirectory) -> Path:
    """Move a run to the trash beside it and return its place there; of several of a name each has its own.

    Raises:
        InputError: it is running, or a process works on it.
        OSError: the folder cannot be written to.
    """
    check_deletable(run)
    folder = run.path.parent / TRASH
    folder.mkdir(exist_ok=True)
    with lock_run(run):
        return _renamed(run.path, folder)


def _renamed(path: Path, folder: Path) -> Path:
    for attempt in range(1, 10_000):
        target = folder / (path.name if attempt == 1 else f"{path.name}-{attempt}")
        if os.path.lexists(target):
            continue
        os.rename(path, target)
        return target
    raise InputError("the trash has too many runs of this name", received=str(folder / path.name))
