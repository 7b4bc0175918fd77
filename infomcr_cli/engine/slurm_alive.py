"""List the tasks of a sweep that Slurm currently has, for `--status` and `--cancel`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from infomcr_cli.engine.slurm_array import SlurmArray, recorded_arrays, with_id
from infomcr_cli.engine.slurm_queue import SECONDS_TO_ANSWER, SlurmError, TaskState, read_queue
from infomcr_cli.runs.identity import HEAD

SECONDS_FOR_A_STATUS = 10.0


def alive_in(arrays: Sequence[SlurmArray], *, seconds: float = SECONDS_TO_ANSWER) -> dict[str, TaskState]:
    """Return the tasks of some arrays that have not ended, by `ARRAY_INDEX`.

    Raises:
        SlurmError: the controller does not answer.
    """
    names = {array.id: array.name for array in arrays if array.id is not None}
    return {
        task: state
        for task, state in read_queue(names.keys(), seconds=seconds).items()
        # Slurm starts again at id 1 after a while, and so does another cluster: the random name tells whose it is.
        if not state.has_ended and state.job == names.get(task.partition("_")[0])
    }


def places_of_alive_tasks(sweep: Path) -> dict[str, tuple[SlurmArray, int]]:
    """Return array and index of the tasks of a sweep that have not ended, by the identity of their jobs.

    Raises:
        SlurmError: the controller does not answer.
    """
    arrays = [with_id(array) for array in recorded_arrays(sweep)]
    alive = alive_in(arrays)
    return {
        identity: (array, index)
        for array in arrays
        for index, identity in enumerate(array.jobs)
        if array.task_id(index) in alive
    }


def alive_tasks(sweep: Path) -> Mapping[str, tuple[str, TaskState]]:
    """Return id and state of the tasks of a sweep that have not ended, by job; none if Slurm does not answer."""
    arrays = recorded_arrays(sweep)
    try:
        alive = alive_in(arrays, seconds=SECONDS_FOR_A_STATUS)
    except SlurmError:
        return {}
    return {
        identity[:HEAD]: (task, alive[task])
        for array in arrays
        for index, identity in enumerate(array.jobs)
        if (task := array.task_id(index)) in alive
    }
