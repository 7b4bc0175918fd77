"""One job array of a sweep: its folder, what it runs, and its submission by submitit.

`sweeps/NAME/slurm/ARRAY/` holds tasks.jsonl (a line for each task), array.json (which jobs they are, and the id that
Slurm gave), results/ (a JSON file for each task that has ended), starts/ and what the tasks print. submitit writes and
submits the batch script. Its pickled calls are not used. A task reads JSON, so no file of a folder that is shared or
copied is ever executed. It receives SIGTERM, by which Slurm announces preemption. And an interrupted start leaves no
half-written call that stops the next one.
"""

from __future__ import annotations

import os
import shlex
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from infomcr_cli.config.schema.sweep import SlurmEngineConfig
from infomcr_cli.console.text import printable
from infomcr_cli.engine.limits import Limits
from infomcr_cli.engine.messages import Task, read_task
from infomcr_cli.engine.slurm_queue import SlurmError, arrays_named
from infomcr_cli.errors import InputError
from infomcr_cli.runs.io.safe_documents import MAX_DOCUMENT, dump_json, parse_json
from infomcr_cli.runs.io.safe_files import read_file, write_atomically

COMMAND = (sys.executable, "-u", "-m", "infomcr_cli.engine.slurm_task")
FORMAT = 1
TRIED = "submitted"  # a file that says that `sbatch` was called
CANCELLED = "cancelled"  # a file beside the arrays, by which `sweep --cancel` notifies the sweep's process
_NAME = 12  # random letters of an array's folder
# Variables of `sbatch` (SBATCH_…) that are not called as their options are.
_VARIABLES: Mapping[str, tuple[str, ...]] = {
    "array": ("array_inx",),
    "gpus-per-node": ("gpus", "gpus_per_node", "gpus_per_task"),
    "mem": ("mem_per_cpu", "mem_per_gpu", "mem_per_node"),
    "requeue": ("no_requeue", "requeue"),
    "time": ("timelimit",),
}
_ALWAYS = ("error", "open_mode", "wait")


@dataclass(frozen=True)
class SlurmArray:
    """An array of a sweep.

    Args:
        folder:  where it keeps its files.
        jobs:    identities, by index.
        name:    in Slurm; random, so that the array is found if its submitter died before it noted the id.
        id:      that Slurm gave; None: it has not been noted.
        limits:  bounds on each job.
        threads: for each job.
        retries: starts without a further checkpoint that a task may have before it fails.
        notice:  seconds between the signal before the limit of time and the limit.
        made:    seconds since 1970.
    """

    folder: Path
    jobs: tuple[str, ...]
    name: str
    id: str | None = None
    limits: Limits = field(default_factory=Limits)
    threads: int = 1
    retries: int = 0
    notice: float = 120.0
    made: float = 0.0

    def task_id(self, index: int) -> str:
        """Return Slurm's id of a task."""
        return f"{self.id}_{index}"

    def result(self, index: int) -> Path:
        """Return the result file of a task."""
        return self.folder / "results" / f"{index}.json"

    def starts(self, index: int) -> Path:
        """Return the file that records the starts of a task."""
        return self.folder / "starts" / f"{index}.json"

    def reported(self) -> frozenset[int]:
        """Return the indices of the tasks that have reported a result."""
        try:
            names = os.listdir(self.folder / "results")
        except OSError:
            return frozenset()
        stems = (name.removesuffix(".json") for name in names if name.endswith(".json"))
        return frozenset(int(stem) for stem in stems if stem.isdigit())

    def task(self, index: int) -> Task:
        """Return what a task does. Only a task of this array calls this: its settings may name functions to import."""
        with open(self.folder / "tasks.jsonl", "rb") as file:
            return read_task(next(islice(file, index, None)))

    def write(self) -> None:
        """Write array.json atomically."""
        limits = {"timeout": self.limits.timeout, "memory": self.limits.memory}
        document = {"format": FORMAT, "name": self.name, "id": self.id, "jobs": list(self.jobs), "limits": limits}
        document |= {"threads": self.threads, "retries": self.retries, "notice": self.notice, "made": self.made}
        write_atomically(self.folder / "array.json", dump_json(document))


def arrays_folder(sweep: Path) -> Path:
    """Return the folder of a sweep's arrays."""
    return sweep / "slurm"


def check_path(sweep: Path) -> None:
    """Refuse a path that contains submitit's placeholders for job ids."""
    found = next((pattern for pattern in ("%j", "%t", "%A", "%a") if pattern in str(sweep.absolute())), None)
    if found is not None:
        raise InputError(
            f"engine=slurm does not support {found} in the path of the sweep's folder", received=printable(str(sweep))
        )


def new_array(sweep: Path, tasks: Sequence[Task], settings: SlurmEngineConfig, limits: Limits) -> SlurmArray:
    """Create the folder of an array before it is submitted."""
    key = uuid.uuid4().hex[:_NAME]
    folder = arrays_folder(sweep) / key
    arrays_folder(sweep).mkdir(parents=True, exist_ok=True)
    arrays_folder(sweep).chmod(0o700)  # anyone who could change the tasks could run code as this user
    for name in ("results", "starts"):
        (folder / name).mkdir(parents=True)
    with open(folder / "tasks.jsonl", "w", encoding="utf-8") as file:
        file.writelines(task.model_dump_json() + "\n" for task in tasks)
    identities = tuple(task.identity for task in tasks)
    array = SlurmArray(
        folder,
        identities,
        f"{sweep.name}-{key}",
        limits=limits,
        threads=settings.cpus,
        retries=settings.retries,
        notice=settings.checkpoint_before,
        made=time.time(),
    )
    array.write()
    return array


def submit_array(array: SlurmArray, settings: SlurmEngineConfig, after: Sequence[str] = ()) -> SlurmArray:
    """Submit an array unless Slurm already has it, and record its id.

    `sbatch` may give up waiting for an answer though its array was taken: then its name is found.

    Args:
        after: ids of arrays that must have ended before.

    Raises:
        SlurmError: Slurm does not take it.
    """
    import submitit

    known = with_id(array) if (array.folder / TRIED).exists() else array
    if known.id is not None:
        return known
    (array.folder / TRIED).touch()  # before the call: if this process dies in it, the next one looks for the array
    try:
        parameters = _parameters(array, settings, after)
        executor = submitit.SlurmExecutor(array.folder)
        executor.update_parameters(**parameters)
        with _outside_of_a_job(), _without(_overriding(parameters)):
            # exec: the process of the script becomes that of the task, so that it receives Slurm's signals.
            submitted = executor._submit_command(shlex.join(("exec", *COMMAND, str(array.folder))))
    except RuntimeError as error:  # all that submitit raises
        raise SlurmError(printable("; ".join(str(error).strip().splitlines()))) from None
    array = replace(array, id=submitted.job_id)
    array.write()
    return array


def _parameters(array: SlurmArray, settings: SlurmEngineConfig, after: Sequence[str]) -> dict[str, Any]:
    """Return submitit's parameters for the script; None means Slurm's default."""
    count = len(array.jobs)
    options: dict[str, Any] = {
        **{name: value for name, value in settings.extra.items() if value is not False},
        "array": f"0-{count - 1}%{min(count, settings.array_parallelism)}",
        "ntasks": 1,
        "requeue": True,
        # B: only to the process of the script, which is the task's own: it stops the job's process.
        "signal": f"B:USR2@{settings.checkpoint_before}",
        "output": f"{str(array.folder).replace('%', '%%')}/%A_%a.log",  # for Slurm %% is a percent sign
    }
    if after:
        options["dependency"] = "afterany:" + ":".join(after)
    return {
        "job_name": array.name,
        "time": settings.time,
        "partition": settings.partition,
        "account": settings.account,
        "qos": settings.qos,
        "cpus_per_task": settings.cpus,
        "gpus_per_node": settings.gpus or None,
        "mem": None if settings.memory is None else f"{-(-int(settings.memory) // 2**20)}M",  # rounded up
        "wckey": None,
        # Without a step of its own the script is the task: Slurm's signals reach it directly.
        "use_srun": False,
        "stderr_to_stdout": True,
        "additional_parameters": options,
    }


@contextmanager
def _outside_of_a_job() -> Iterator[None]:
    """Hide the variables of a Slurm job in which the sweep itself may run, so that arrays do not inherit them."""
    from submitit.helpers import clean_env

    config = os.environ.get("SLURM_CONF")  # `sbatch` finds its cluster by it, but `clean_env` hides it too
    with clean_env() if "SLURM_JOB_ID" in os.environ else nullcontext():
        if config is not None:
            os.environ["SLURM_CONF"] = config
        yield


def _overriding(parameters: Mapping[str, Any]) -> list[str]:
    """Return the environment variables that would override the script's options in `sbatch`."""
    given = {**parameters, **parameters["additional_parameters"]}
    names = {name.replace("_", "-") for name, value in given.items() if value is not None}
    ours = (*(variable for name in names for variable in _VARIABLES.get(name, (name,))), *_ALWAYS)
    return [f"SBATCH_{name.upper().replace('-', '_')}" for name in ours]


@contextmanager
def _without(names: Sequence[str]) -> Iterator[None]:
    """Hide some variables of this process."""
    hidden = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)


def read_array(folder: Path) -> SlurmArray:
    """Return the array of a folder.

    Raises:
        InputError: array.json is not what this program writes. FileNotFoundError: it is not there.
    """
    what = f"array.json of {printable(folder.name)}"
    document = parse_json(read_file(folder, "array.json", MAX_DOCUMENT), what)
    try:
        return _array(folder, document)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise InputError(f"{what} must be as infomcr writes it", received=printable(str(folder))) from None


def _array(folder: Path, document: Mapping[str, Any]) -> SlurmArray:
    name, given, limits = str(document["name"]), document["id"], document["limits"]
    # A folder from somebody else cannot name an array of the user's other jobs, which --cancel would end.
    if not name.endswith(f"-{folder.name}") or (given is not None and not str(given).isdigit()):
        raise ValueError(name)
    return SlurmArray(
        folder,
        tuple(map(str, document["jobs"])),
        name,
        given,
        Limits(limits["timeout"], limits["memory"]),
        int(document["threads"]),
        int(document["retries"]),
        float(document["notice"]),
        float(document["made"]),
    )


def recorded_arrays(sweep: Path) -> list[SlurmArray]:
    """Return the arrays that a sweep has submitted, oldest first; what cannot be read is left out."""
    found = []
    for path in arrays_folder(sweep).glob("*/array.json"):
        with suppress(InputError, OSError):
            found.append(read_array(path.parent))
    return sorted(found, key=lambda array: array.made)


def with_id(array: SlurmArray) -> SlurmArray:
    """Return an array with its id; Slurm is queried for it if the process that submitted the array did not note it.

    Raises:
        SlurmError: the controller does not answer.
    """
    if array.id is not None:
        return array
    found = arrays_named(array.name)
    if not found:
        return array
    named = replace(array, id=max(found, key=int))
    named.write()
    return named
