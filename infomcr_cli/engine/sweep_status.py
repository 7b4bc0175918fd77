"""Read the status of a sweep from its folders, on any machine that sees them."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from infomcr_cli.console.text import printable
from infomcr_cli.engine.directory import last_lines, process_at_work
from infomcr_cli.engine.slurm_queue import TaskState, missing_command
from infomcr_cli.engine.time_left import seconds_left
from infomcr_cli.errors import InputError
from infomcr_cli.runs.directory import RunDirectory
from infomcr_cli.runs.io.safe_documents import MAX_DOCUMENT, parse_json
from infomcr_cli.runs.io.safe_files import open_without_links, read_file
from infomcr_cli.runs.metrics import MetricsLine, decode_line
from infomcr_cli.runs.status import MAX_STATUS, State, Status, read_status

FOLLOWED = 100  # running jobs whose metrics are read, and failed ones whose logs are
LOG_LINES = 5
LATEST, MOST_TRIALS = 1e11, 10_000  # seconds since 1970; as `sweep.trials` allows
_UNREADABLE = Status(state=State.FAILED, reason="its status.json cannot be read")
_ENDED = (State.FINISHED, State.FAILED)


@dataclass(frozen=True)
class JobStatus:
    """One job of a sweep as its run directory shows it now.

    Args:
        run:    its directory; None: there is none yet.
        status: of the run; None: it has not begun.
        epochs, cost: of the whole job; see `TimeLeft`.
        measured: when measures.json was written, seconds since 1970; None: it is not there.
        line:   the last one that was logged, of a running job.
        log:    last lines of the log of a failed one.
        task:   what Slurm shows of it now; None: it does not wait or run there, or no one answers.
        task_id: of this task.
    """

    id: str
    name: str
    run: Path | None
    status: Status | None
    epochs: int
    cost: float
    measured: float | None = None
    line: MetricsLine | None = None
    log: tuple[str, ...] = ()
    task: TaskState | None = None
    task_id: str | None = None

    @property
    def state(self) -> State | None:
        """The state of its run; None: it has not begun."""
        return None if self.status is None else self.status.state

    @property
    def where(self) -> str:
        """Machine and process, or node and Slurm job, that work, or last worked, on it; empty: none did."""
        node, job = self._slurm
        if job is not None:
            return f"{node or ''} {job}".strip()
        if self.status is None or self.status.host is None:
            return ""
        return f"{printable(self.status.host, 100)}:{self.status.pid}"

    @property
    def is_pruned(self) -> bool:
        """Whether a search ended it early."""
        return self.state is State.KILLED and self.status is not None and self.status.pruned_at is not None

    @property
    def _slurm(self) -> tuple[str | None, str | None]:
        """Node and id of its Slurm job, now or when it last ran."""
        if self.task is not None:
            return self.task.node or None, self.task_id
        if self.status is None or self.status.slurm_job is None:
            return None, None
        node = self.status.slurm_node
        return None if node is None else printable(node, 100), printable(self.status.slurm_job, 100)

    @property
    def epoch(self) -> int:
        """Whole epochs done."""
        known = [0 if self.status is None else self.status.epoch, 0 if self.line is None else self.line.epoch]
        return max(known)

    def to_dict(self) -> dict[str, Any]:
        """Return the job's part of the JSON document."""
        status, line = self.status, self.line
        return {
            "id": self.id,
            "name": self.name,
            "state": None if status is None else str(status.state),
            "reason": None if status is None or status.reason is None else printable(status.reason),
            "run": None if self.run is None else printable(str(self.run), 4096),
            "host": None if status is None or status.host is None else printable(status.host, 100),
            "pid": None if status is None else status.pid,
            **dict(zip(("slurm_node", "slurm_job"), self._slurm, strict=True)),
            "slurm_state": None if self.task is None else self.task.state,
            "slurm_reason": None if self.task is None else self.task.reason or None,
            "epoch": self.epoch,
            "epochs": self.epochs,
            "started": None if status is None else status.started,
            "ended": None if status is None else status.ended,
            "measured": self.measured is not None,
            "pruned": self.is_pruned,
            "loss": None if line is None else _finite(line.values.get("train/loss")),
            "images_per_second": None if line is None else _finite(line.timing.get("images_per_second")),
            "log": list(self.log),
        }


@dataclass(frozen=True)
class SweepStatus:
    """A sweep as its folder shows it now.

    Args:
        process:  that carries it out; None: none does, as far as locks reach.
        begun:    when it was last begun, seconds since 1970; None: not known.
        evaluate: whether its runs are measured.
        now:      when this was read.
        unproposed: jobs that a search has still to propose.
    """

    folder: Path
    process: str | None
    begun: float | None
    evaluate: bool
    jobs: tuple[JobStatus, ...]
    now: float
    unproposed: int = 0

    @property
    def counts(self) -> Counter[State | None]:
        """Number of jobs in each state, without the pruned ones; None: they have not begun."""
        return Counter(job.state for job in self.jobs if not job.is_pruned) + Counter({None: self.unproposed})

    @property
    def pruned(self) -> int:
        """Number of jobs that a search ended early."""
        return sum(job.is_pruned for job in self.jobs)

    @property
    def total(self) -> int:
        """Number of jobs that there are, or are to be."""
        return len(self.jobs) + self.unproposed

    @property
    def is_active(self) -> bool:
        """Whether a process carries it out, or one of its jobs runs or waits in Slurm's queue."""
        return self.process is not None or self.counts[State.RUNNING] > 0 or bool(self.tasks)

    @property
    def tasks(self) -> Counter[str]:
        """Number of its tasks that Slurm has, in each state, such as PENDING."""
        return Counter(job.task.state for job in self.jobs if job.task is not None)

    @property
    def waiting_for(self) -> Counter[str]:
        """Number of its tasks that wait in Slurm, for each reason that Slurm gives, such as Priority."""
        return Counter(job.task.reason for job in self.jobs if job.task is not None and job.task.reason)

    @property
    def failures(self) -> list[JobStatus]:
        """The failed jobs, the latest first."""
        return sorted((job for job in self.jobs if job.state is State.FAILED), key=_end_of, reverse=True)

    @property
    def jobs_per_hour(self) -> float | None:
        """Jobs that ended since it was last begun, for each hour since; None: none has."""
        ended = [end for job in self._over if self.begun is not None and (end := _end_of(job)) >= self.begun]
        if not ended or self.begun is None:
            return None
        until = self.now if self.is_active else max(ended)
        return 3600 * len(ended) / max(1.0, until - self.begun)

    @property
    def seconds_left(self) -> float | None:
        """Time left for the jobs that have not ended; None: no process works on them, or it is not known yet."""
        left = [job for job in self.jobs if job.state not in _ENDED and not job.is_pruned]
        if not (left or self.unproposed) or not self.is_active:
            return None
        # The duration is known only of jobs that began and ended since the sweep was last begun.
        since = [job for job in self._over if self.begun is not None and _begin_of(job) >= self.begun]
        known = [(job.cost, _end_of(job) - _begin_of(job)) for job in since]
        running = [job for job in left if job.state is State.RUNNING]
        shares = [(job, job.epoch / max(1, job.epochs)) for job in running]
        projected = [(job.cost, self._run_for(job) / share) for job, share in shares if share > 0.1]
        costs = [(job.cost, self._run_for(job)) for job in left]
        costs += [(job.cost, 0.0) for job in self.jobs[:1]] * self.unproposed
        return seconds_left(costs, known or projected, max(1, len(running)))

    def _run_for(self, job: JobStatus) -> float:
        """Return how long a job has been running since the sweep was last begun, seconds."""
        return max(0.0, self.now - max(_begin_of(job), self.begun or 0.0)) if job.state is State.RUNNING else 0.0

    @property
    def _over(self) -> list[JobStatus]:
        """The jobs that have ended."""
        return [job for job in self.jobs if job.state in _ENDED or job.is_pruned]


def read_sweep(folder: Path) -> SweepStatus:
    """Return the status of a sweep.

    Args:
        folder: `sweeps/NAME/`, wherever it was moved to along with its runs.

    Raises:
        InputError: there is no sweep.json, or it is not what this program writes.
    """
    what = f"sweep.json of {printable(folder.name)}"
    document = parse_json(read_file(folder, "sweep.json", MAX_DOCUMENT), what)
    entries = document.get("jobs") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{what} must be as infomcr writes it", received=printable(str(folder)))
    jobs = list(_with_tasks(folder, _jobs(folder, entries)))
    running = [number for number, job in enumerate(jobs) if job.state is State.RUNNING]
    failed = [number for number, job in enumerate(jobs) if job.state is State.FAILED]
    failed.sort(key=lambda number: -_end_of(jobs[number]))  # the latest first
    for number in (*running[:FOLLOWED], *failed[:FOLLOWED]):
        jobs[number] = _followed(folder, jobs[number])
    return SweepStatus(
        folder,
        process_at_work(folder),
        begun=_number(document.get("begun"), LATEST),
        evaluate=document.get("evaluate") is not False,
        jobs=tuple(jobs),
        now=time.time(),
        unproposed=int(_number(document.get("unproposed"), MOST_TRIALS) or 0),
    )


def _with_tasks(folder: Path, jobs: Iterator[JobStatus]) -> Iterator[JobStatus]:
    """Yield the jobs with their Slurm states, if Slurm can be reached."""
    if not (folder / "slurm").is_dir() or missing_command() is not None:
        yield from jobs
        return
    from infomcr_cli.engine.slurm_alive import alive_tasks  # the import takes half a second, which only Slurm needs

    alive = alive_tasks(folder)
    for job in jobs:
        identifier, task = alive.get(job.id, (None, None))
        yield job if task is None else replace(job, task=task, task_id=identifier)


def _jobs(folder: Path, entries: Sequence[Mapping[str, Any]]) -> Iterator[JobStatus]:
    present = _present_folders(folder)
    for entry in entries:
        recorded = entry.get("directory") or entry.get("run")
        run = present(os.path.dirname(recorded)) / os.path.basename(recorded) if isinstance(recorded, str) else None
        status = None if run is None else _status(run)
        identifier = printable(str(entry.get("id")), 100)
        overrides = entry.get("overrides")
        words = overrides if isinstance(overrides, list) else []
        name = entry.get("name") or " ".join(map(str, words)) or identifier  # older files have no names
        yield JobStatus(
            id=identifier,
            name=printable(str(name), 400),
            run=run if status is not None else None,
            status=status,
            epochs=int(_number(entry.get("epochs")) or 0),
            cost=_number(entry.get("cost")) or 1.0,
            measured=_time_of(f"{run}/measures.json") if status is not None else None,
        )


def _present_folders(folder: Path) -> Callable[[str], Path]:
    """Return the present path of a recorded runs folder, which may have been moved with the project."""
    around = Path(os.path.abspath(folder)).parent.parent

    @cache  # the jobs of a sweep, often thousands, share a few folders
    def present(recorded: str) -> Path:
        beside = around / os.path.basename(recorded)
        return next((place for place in (beside, Path(recorded)) if place.is_dir()), around)

    return present


def _status(run: Path) -> Status | None:
    """Return the status of a run, None if there is none.

    Whether the process lives is checked only if the run is RUNNING: few of ten thousand jobs are.
    """
    # O_NONBLOCK: to open a named pipe of that name would wait for a writer.
    try:
        descriptor = os.open(f"{run}/status.json", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError:
        return _UNREADABLE
    try:
        content = os.read(descriptor, MAX_STATUS)
        status = Status.model_validate_json(content)
        return read_status(RunDirectory(run)) if status.state is State.RUNNING else status
    except (ValidationError, InputError, OSError):
        return _UNREADABLE
    finally:
        os.close(descriptor)


def _followed(folder: Path, job: JobStatus) -> JobStatus:
    """Return a running job with what it logged last, a failed one with the end of its log."""
    if job.state is State.FAILED:
        name = os.path.basename(job.id)
        return replace(job, log=tuple(last_lines(folder / "logs" / f"{name}.log", LOG_LINES)))
    return replace(job, line=_last_line(job.run) if job.run is not None else None)


def _last_line(run: Path) -> MetricsLine | None:
    """Return the last whole line of a run's metrics without reading the others."""
    try:
        with open_without_links(run / "metrics.jsonl") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 65536))
            # After the last line break comes nothing, or a line that is being written.
            *_, line, _ = [b"", b"", *file.read(65536).split(b"\n")]
        return decode_line(line, "metrics.jsonl") if line else None
    except (InputError, OSError):
        return None


def _begin_of(job: JobStatus) -> float:
    return (job.status.started if job.status is not None else None) or 0.0


def _end_of(job: JobStatus) -> float:
    """Return when a job ended, its measures included."""
    return max((job.status.ended if job.status is not None else None) or 0.0, job.measured or 0.0)


def _time_of(path: str) -> float | None:
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return None


def _number(value: Any, most: float = 1e15) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value <= most else None


def _finite(value: float | None) -> float | None:
    """Return a number if JSON can hold it, else None."""
    return value if value is not None and abs(value) < float("inf") else None
