"""Call Slurm's commands: query, cancel and requeue the tasks of an array.

`squeue` and `scontrol` ask the controller, which every cluster has; accounting (`sacct`) may be switched off.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from infomcr_cli.console.text import printable

ENDED = frozenset(
    ("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT")
)
USUAL_SIZE = 1001  # MaxArraySize where a cluster does not say
SECONDS_TO_ANSWER = 60.0
# Without --all, squeue leaves out hidden partitions, and a task there would seem to have ended.
_SQUEUE = ("squeue", "--all", "--noheader", "--states=all", "--format=%F|%K|%T|%N|%r|%j")
_MOST_IDS = 500  # on one command line
# Reasons to wait that time does not end: https://slurm.schedmd.com/job_reason_codes.html
_BLOCKED = re.compile(
    "AccountNotAllowed|BadConstraints|Invalid|JobHeld|NotAllowed|PerJob|PerNode|"
    "Partition(Down|Inactive|NodeLimit|TimeLimit)|requeued_held|requeued held"
)


class SlurmError(Exception):
    """Slurm refuses a command, or does not answer."""


@dataclass(frozen=True)
class TaskState:
    """A task of an array as `squeue` shows it.

    Args:
        state: its long name, such as PENDING.
        node:  empty: none yet.
        job:   the name of the array.
        reason: why it waits, such as Priority; empty: it does not wait, or Slurm has not said yet.
    """

    state: str
    node: str
    job: str
    reason: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether it will not run again unless someone puts it back."""
        return self.state in ENDED

    @property
    def is_blocked(self) -> bool:
        """Whether it will wait until someone changes its request, its partition or a limit."""
        return self.state == "PENDING" and _BLOCKED.search(self.reason) is not None


def missing_command() -> str | None:
    """Return a Slurm command that is missing on this machine, or None."""
    return next((name for name in ("sbatch", "squeue", "scancel", "scontrol") if shutil.which(name) is None), None)


def read_queue(arrays: Collection[str], *, seconds: float = SECONDS_TO_ANSWER) -> dict[str, TaskState]:
    """Return the tasks of some arrays by `ARRAY_INDEX`; Slurm forgets ended ones after some minutes.

    Raises:
        SlurmError: the controller does not answer.
    """
    if not arrays:
        return {}
    try:
        listed = _run(*_SQUEUE, f"--jobs={','.join(arrays)}", seconds=seconds)
    except SlurmError as error:
        if "Invalid job id" in str(error):  # of a single array, which Slurm has forgotten
            return {}
        raise
    return dict(_tasks(listed))


def arrays_named(name: str) -> set[str]:
    """Return the ids of the arrays of a name.

    Raises:
        SlurmError: the controller does not answer.
    """
    listed = _run(*_SQUEUE, f"--name={name}")
    return {identifier.partition("_")[0] for identifier, _ in _tasks(listed)}


def cancel(tasks: Sequence[str]) -> None:
    """Ask tasks, by `ARRAY_INDEX`, to end: Slurm sends SIGTERM and, half a minute later, SIGKILL.

    Raises:
        SlurmError: the controller does not answer.
    """
    for start in range(0, len(tasks), _MOST_IDS):
        _run("scancel", "--quiet", *tasks[start : start + _MOST_IDS])


def requeue(task: str) -> None:
    """Requeue a task in its array, whether it is running or has ended.

    Raises:
        SlurmError: Slurm has forgotten the task, or may not requeue it.
    """
    _run("scontrol", "requeue", task)


def limit(array: str, tasks: int) -> None:
    """Set how many tasks of an array may run at once.

    Raises:
        SlurmError: the controller does not answer.
    """
    _run("scontrol", "update", f"JobId={array}", f"ArrayTaskThrottle={tasks}")


def most_tasks() -> int:
    """Return the maximum number of tasks in an array of this cluster, MaxArraySize.

    Raises:
        SlurmError: the controller does not answer.
    """
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", _run("scontrol", "show", "config"), re.MULTILINE)
    return max(1, int(found[1])) if found else USUAL_SIZE


def indices(text: str) -> Iterator[int]:
    """Yield the indices that `squeue` abbreviates.

    Examples:
        >>> list(indices("1,4-6%2"))
        [1, 4, 5, 6]
    """
    for part in text.partition("%")[0].split(","):
        first, _, last = part.partition("-")
        if first.isdigit():
            yield from range(int(first), int(last or first) + 1)


def _tasks(listed: str) -> Iterator[tuple[str, TaskState]]:
    for line in listed.splitlines():
        array, index, state, node, reason, name = [*line.split("|", 5), "", "", "", "", ""][:6]
        waits_for = printable(reason, 100) if state == "PENDING" and reason != "None" else ""
        for number in indices(index):
            yield f"{array}_{number}", TaskState(state, node, name, waits_for)


def _run(*words: str, seconds: float = SECONDS_TO_ANSWER) -> str:
    # SQUEUE_ variables of the user could leave out tasks; SLURM_BITSTR_LEN=0 lists indices in full, however many.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SQUEUE_")}
    environment = {**kept, "SLURM_BITSTR_LEN": "0"}
    try:
        done = subprocess.run(
            words, env=environment, capture_output=True, text=True, check=True, timeout=seconds, errors="replace"
        )
    except subprocess.CalledProcessError as error:
        raise SlurmError(printable("; ".join(error.stderr.split("\n")).strip("; ") or f"{words[0]} failed")) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SlurmError(printable(f"{words[0]}: {error}")) from None
    return done.stdout
