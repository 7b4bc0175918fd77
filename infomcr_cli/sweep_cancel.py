"""The command `sweep --cancel`: end the jobs of a sweep that go on in Slurm, from any terminal of its cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from infomcr_cli.console.text import printable
from infomcr_cli.engine.directory import process_at_work
from infomcr_cli.engine.find_sweep import find_sweep
from infomcr_cli.engine.slurm_alive import alive_in
from infomcr_cli.engine.slurm_array import CANCELLED, arrays_folder, recorded_arrays, with_id
from infomcr_cli.engine.slurm_queue import SlurmError, cancel, missing_command
from infomcr_cli.errors import InputError


@dataclass(frozen=True)
class CancelResult:
    """What was cancelled.

    Args:
        states: number of tasks in each state of Slurm before they were cancelled.
    """

    folder: Path
    states: Counter[str]

    @property
    def exit_code(self) -> int:
        """0: nothing of the sweep is left in Slurm, or it is about to end."""
        return 0

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document of `sweep --cancel --json`."""
        running = self.states["RUNNING"]
        others = self.states.total() - running
        name = printable(self.folder.name)
        return {"sweep": printable(str(self.folder), 4096), "name": name, "running": running, "waiting": others}

    def renderables(self, width: int) -> Iterator[RenderableType]:
        """Yield one line."""
        counts = self.to_dict()
        if not self.states:
            yield f"{counts['name']}: it has no jobs in Slurm"
            return
        yield (
            f"{counts['name']}: cancelled {counts['running']} running and {counts['waiting']} waiting jobs; "
            "running ones write a checkpoint first"
        )


def cancel_sweep(words: Sequence[str]) -> CancelResult:
    """Cancel the tasks that Slurm has of a sweep, and notify the process that runs the sweep, if there is one.

    Args:
        words: as for `sweep --status`; there must be some if there are several sweeps.

    Raises:
        InputError: there is no such sweep, it was not given to Slurm, or Slurm does not answer.
    """
    folder, others = find_sweep(words, "--cancel")
    if others:  # a status may be that of the last sweep, but nothing is cancelled that was not named
        names = sorted((folder.name, *others))
        raise InputError("--cancel needs the name of a sweep if there are several", accepted=names)
    arrays = recorded_arrays(folder)
    if not arrays:
        process = process_at_work(folder)
        advice = "It is not running." if process is None else f"Stop its process: kill -INT {process}"
        raise InputError("--cancel works only for sweeps on Slurm", received=printable(folder.name), advice=advice)
    if (missing := missing_command()) is not None:
        raise InputError(
            "--cancel needs Slurm's commands", received=f"no {missing}", advice="Use a login node of the cluster."
        )
    try:
        known = [with_id(array) for array in arrays]
        alive = alive_in(known)  # counted first: the sweep's process, once notified, cancels its tasks by itself
        (arrays_folder(folder) / CANCELLED).touch()
        cancel(list(alive | alive_in(known)))  # read again: it may have requeued tasks meanwhile
    except SlurmError as error:
        raise InputError("Slurm does not answer", received=str(error), advice="Check it with `sinfo`.") from None
    return CancelResult(folder, Counter(state.state for state in alive.values()))
