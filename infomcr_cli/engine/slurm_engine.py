"""Jobs as tasks of Slurm's job arrays. They wait in Slurm's queue, and go on there without the sweep's process.

All jobs go to Slurm at once, in one array whose limit of running tasks is `engine.array_parallelism`. A sweep of more
jobs than an array may hold makes several, each of which waits for the one before. A task that was lost is put back into
its own array, where the limit still holds. A sweep that is started again finds its tasks in Slurm by the arrays that
its folder records, so that no job is submitted twice.
"""

from __future__ import annotations

import importlib.util
import logging
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from infomcr_cli.config.schema.sweep import SlurmEngineConfig
from infomcr_cli.console.suggestions import shortest_path, suggested_command
from infomcr_cli.engine import slurm_queue
from infomcr_cli.engine.directory import SweepDirectory
from infomcr_cli.engine.job import Job, Outcome
from infomcr_cli.engine.limits import Limits
from infomcr_cli.engine.messages import Task, decoded_outcome
from infomcr_cli.engine.process import close
from infomcr_cli.engine.scheduler import SweepStopped
from infomcr_cli.engine.slurm_alive import places_of_alive_tasks
from infomcr_cli.engine.slurm_array import (
    CANCELLED,
    SlurmArray,
    arrays_folder,
    check_path,
    new_array,
    submit_array,
    with_id,
)
from infomcr_cli.engine.slurm_queue import SlurmError, TaskState, missing_command
from infomcr_cli.errors import InputError
from infomcr_cli.runs import State

TICK = 0.25
SECONDS_BETWEEN_REPORTS = 1.0
SECONDS_BETWEEN_POLLS = 5.0
SECONDS_TO_SETTLE = 6.0  # a report, a file of another machine, may become visible a little after its task has ended
SECONDS_BEFORE_ANOTHER_TRY = 30.0
TRIES = 3
# Options of sbatch that are settings of their own, or by which the engine keeps hold of its tasks.
OWN_SETTINGS = {
    "cpus-per-task": "engine.cpus",
    "gpus": "engine.gpus",
    "gpus-per-node": "engine.gpus",
    "mem": "engine.memory",
    "time": "engine.time",
    "partition": "engine.partition",
    "account": "engine.account",
    "qos": "engine.qos",
    "signal": "engine.checkpoint_before",
    "array": "engine.array_parallelism",
}
_FIXED = (
    *("dependency", "error", "job-name", "no-requeue", "nodes", "ntasks", "open-mode", "output", "requeue", "wrap"),
    *("clusters", "parsable", "quiet", "test-only", "wait"),  # after which the id of the array would not be known
)
_TOO_MANY = re.compile(r"submit limit|Max\w*(Submit|Jobs)|Invalid job array|temporarily", re.IGNORECASE)
_log = logging.getLogger("infomcr.engine")


def check_slurm(settings: SlurmEngineConfig) -> None:
    """Raise InputError if jobs cannot be submitted from here, or if `engine.extra` has an option of the engine."""
    if importlib.util.find_spec("submitit") is None:
        raise InputError(
            "engine=slurm needs the package submitit", advice="pip install 'infomcr[slurm]', or engine=local."
        )
    missing = missing_command()
    if missing is not None:
        raise InputError(
            "engine=slurm needs Slurm's commands on this machine",
            received=f"no {missing}",
            advice="Start the sweep on a login node of the cluster, or use engine=local.",
        )
    for name in settings.extra:
        if name in OWN_SETTINGS or name in _FIXED:
            advice = f"Set {OWN_SETTINGS[name]}." if name in OWN_SETTINGS else "Leave it out."
            raise InputError(
                "engine.extra must not contain options that the engine sets itself", received=name, advice=advice
            )
    if settings.time is not None and seconds_of(settings.time) <= settings.checkpoint_before:
        raise InputError(
            "engine.time must be longer than engine.checkpoint_before, or Slurm would stop each job at its start",
            received=f"engine.time={settings.time}, {settings.checkpoint_before} seconds before it",
            advice="A plain number for engine.time is in minutes.",
        )


def seconds_of(time: int | str) -> int:
    """Return a limit of time as Slurm reads it.

    Examples:
        >>> [seconds_of(one) for one in (90, "90:30", "12:00:00", "2-12", "2-12:30")]
        [5400, 5430, 43200, 216000, 217800]
    """
    days, dash, rest = str(time).rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    units = (3600, 60, 1) if dash or len(parts) == 3 else (60, 1)  # days-hours…, or minutes…
    return 86400 * int(days or 0) + sum(part * unit for part, unit in zip(parts, units, strict=False))


def _is_taken(array: SlurmArray) -> bool:
    """Return whether Slurm took an array though `sbatch` failed, as it does if the answer comes too late."""
    with suppress(SlurmError):
        return with_id(array).id is not None
    return False


@dataclass(frozen=True)
class _Tracked:
    """A job that was submitted to Slurm.

    Args:
        index: of its task in the array.
        began: when it was first seen to run, by the monotonic clock.
        gone:  since when its task has ended, or is not known to Slurm, without a report.
    """

    job: Job
    array: SlurmArray
    index: int
    began: float | None = None
    gone: float | None = None

    @property
    def task_id(self) -> str:
        return self.array.task_id(self.index)


class SlurmEngine:
    """See `infomcr_cli.engine.scheduler.QueueEngine`.

    Args:
        jobs: how many there are in all.
        task: what is sent to a job's process.
        is_searched: whether jobs come one after the other: then no more are taken than can run at once, and an array
            waits for none before it.

    Raises:
        InputError: the controller does not answer.
    """

    def __init__(
        self,
        settings: SlurmEngineConfig,
        limits: Limits,
        folder: SweepDirectory,
        jobs: int,
        task: Callable[[Job], Task],
        *,
        is_searched: bool = False,
    ) -> None:
        self._settings, self._limits, self._folder, self._task = settings, limits, folder.path, task
        self._is_searched = is_searched
        self._jobs = settings.array_parallelism if is_searched else max(jobs, settings.array_parallelism)
        self._waiting: list[Job] = []  # to be submitted
        self._unsure: SlurmArray | None = None  # of the first of them; Slurm may have taken it without saying so
        self._tracked: dict[str, _Tracked] = {}
        self._former: dict[str, _Tracked] = {}  # tasks of this process that were lost
        self._begun: list[Job] = []
        self._ended: list[Outcome] = []
        self._has_submitted = False
        self._try_again_at = self._read_reports_at = self._poll_at = 0.0
        self._is_unreachable = False
        self._blocked: set[str] = set()  # the reasons that were reported
        self._reason: str | None = None
        check_path(folder.path)
        (arrays_folder(folder.path) / CANCELLED).unlink(missing_ok=True)
        try:
            self._limit = self._most_tasks = slurm_queue.most_tasks()
            self._alive = places_of_alive_tasks(folder.path)
        except SlurmError as error:
            raise InputError(
                "the Slurm controller does not answer", received=str(error), advice="Check it with `sinfo`."
            ) from None
        for identifier in {str(array.id) for array, _ in self._alive.values()}:
            with suppress(SlurmError):  # scontrol also fails if tasks of the array have ended
                slurm_queue.limit(identifier, settings.array_parallelism)

    def capacity(self) -> int:
        """Return the number of jobs that may be submitted: all, because Slurm queues them."""
        return self._jobs

    def submit(self, job: Job) -> None:
        """Attach to a job's task if Slurm still has it; otherwise requeue it, or submit it at the next `wait`."""
        alive, former = self._alive.pop(job.identity, None), self._former.pop(job.identity, None)
        if alive is not None:
            self._tracked[job.identity] = _Tracked(job, *alive)
        elif former is None or not self._put_back(former):
            self._waiting.append(job)

    def begun(self) -> list[Job]:
        """Return the jobs that have started since the last call."""
        begun, self._begun = self._begun, []
        return begun

    def wait(self, seconds: float) -> list[Outcome]:
        """Wait until a job has ended, at most some seconds; return those that have.

        Raises:
            SweepStopped:    `infomcr sweep --cancel` ended the sweep.
            InputError: Slurm refuses the first array.
        """
        deadline = time.monotonic() + seconds
        while True:
            self._advance()
            if self._ended or time.monotonic() >= deadline:
                ended, self._ended = self._ended, []
                return ended
            time.sleep(min(TICK, max(0.0, deadline - time.monotonic())))

    def stop(self, reason: str, *, grace: float) -> None:
        """Cancel all tasks; Slurm limits the time for their checkpoints."""
        self._reason = reason
        self._ended += [Outcome(job, State.KILLED, reason) for job in self._waiting]
        self._waiting.clear()
        try:
            slurm_queue.cancel([tracked.task_id for tracked in self._tracked.values()])
            # `sbatch` may have failed although Slurm took the array.
            if self._unsure is not None and (known := with_id(self._unsure)).id is not None:
                slurm_queue.cancel([known.id])
        except SlurmError as error:
            _log.warning("Slurm did not cancel the jobs: %s", error)

    def close(self) -> None:
        """Detach; the tasks continue in Slurm."""

    def where(self, job: Job) -> str | None:
        """Return the Slurm task of a job; None if it was not submitted."""
        tracked = self._tracked.get(job.identity)
        return None if tracked is None else tracked.task_id

    def _advance(self) -> None:
        now = time.monotonic()
        if self._waiting and now >= self._try_again_at:
            self._submit_waiting()
        if now >= self._read_reports_at:
            self._read_reports_at = now + SECONDS_BETWEEN_REPORTS
            self._read_reports()
        if now >= self._poll_at:
            self._poll_at = now + SECONDS_BETWEEN_POLLS
            self._poll()

    # -- submission

    def _submit_waiting(self) -> None:
        """Submit the waiting jobs in as few arrays as possible; each array begins when those before it have ended."""
        while self._waiting:
            array = self._unsure
            if array is None:
                tasks = [self._task(job) for job in self._waiting[: self._most_tasks]]
                array = new_array(self._folder, tasks, self._settings, self._limits)
            try:
                array = submit_array(array, self._settings, after=() if self._is_searched else self._ids())
            except SlurmError as error:
                self._refused(array, error)
                return
            self._unsure, self._has_submitted = None, True
            for index, job in enumerate(self._waiting[: len(array.jobs)]):
                self._tracked[job.identity] = _Tracked(job, array, index)
            del self._waiting[: len(array.jobs)]
            self._poll_at = 0.0

    def _refused(self, array: SlurmArray, error: SlurmError) -> None:
        """Submit fewer jobs if Slurm limits their number, try again later if others are on their way, or give up."""
        jobs = len(array.jobs)
        if _TOO_MANY.search(str(error)) and jobs > 1:
            shutil.rmtree(array.folder)
            self._unsure, self._most_tasks = None, jobs // 2
            return
        if not (self._has_submitted or self._tracked or _is_taken(array)):
            shutil.rmtree(array.folder)
            raise InputError("Slurm rejected the jobs", received=str(error), advice="`sinfo` shows the partitions.")
        _log.warning("Slurm rejects %d jobs for now; they will be submitted again: %s", jobs, error)
        self._unsure, self._most_tasks = array, self._limit
        self._try_again_at = time.monotonic() + SECONDS_BEFORE_ANOTHER_TRY

    def _arrays(self) -> dict[str, SlurmArray]:
        """Return the arrays that have tasks of this sweep, by id."""
        return {str(tracked.array.id): tracked.array for tracked in self._tracked.values()}

    def _ids(self) -> list[str]:
        return sorted(self._arrays(), key=int)

    def _put_back(self, former: _Tracked) -> bool:
        """Return whether Slurm took a task back into its array, as it does for some minutes after its end."""
        # First, or the report of the former start would be taken for that of the next one.
        former.array.result(former.index).unlink(missing_ok=True)
        for _ in range(TRIES):
            with suppress(SlurmError):
                slurm_queue.requeue(former.task_id)
                break
            time.sleep(SECONDS_BETWEEN_REPORTS)  # a task that is just ending is refused
        else:
            return False
        self._tracked[former.job.identity] = replace(former, began=None, gone=None)
        return True

    # -- ends

    def _read_reports(self) -> None:
        cancelled = arrays_folder(self._folder) / CANCELLED
        if cancelled.exists():
            cancelled.unlink(missing_ok=True)
            if self._reason is None:  # else it is stopping already
                raise SweepStopped(suggested_command("sweep", "--cancel"))
        reported = {identifier: array.reported() for identifier, array in self._arrays().items()}
        for tracked in list(self._tracked.values()):
            if tracked.index in reported[str(tracked.array.id)]:
                self._end(tracked, self._report(tracked))

    def _report(self, tracked: _Tracked) -> Outcome:
        try:
            return decoded_outcome(tracked.array.result(tracked.index).read_bytes(), tracked.job)
        except (OSError, ValueError, TypeError, KeyError):
            return Outcome(tracked.job, State.LOST, "the report of its task cannot be read", is_lost=True)

    def _poll(self) -> None:
        """Query Slurm about the tasks that have not reported."""
        try:
            queue = slurm_queue.read_queue(self._ids())
        except SlurmError as error:
            if not self._is_unreachable:
                _log.warning("Slurm does not answer; the sweep waits for it: %s", error)
            self._is_unreachable = True
            return
        self._is_unreachable = False
        self._warn_of_blocked([queue[one.task_id] for one in self._tracked.values() if one.task_id in queue])
        for tracked in list(self._tracked.values()):
            self._note(tracked, queue.get(tracked.task_id))

    def _warn_of_blocked(self, tasks: Sequence[TaskState]) -> None:
        """Warn once for each reason for which tasks would wait for ever."""
        for reason, count in Counter(task.reason for task in tasks if task.is_blocked).items():
            if reason not in self._blocked:
                self._blocked.add(reason)
                end = suggested_command("sweep", "--cancel", shortest_path(self._folder))
                what = f"Slurm will not start {count} of the jobs until this changes: {reason}"
                _log.warning("%s. To end the sweep: %s", what, end)

    def _note(self, tracked: _Tracked, state: TaskState | None) -> None:
        now = time.monotonic()
        if state is not None and not state.has_ended:
            if state.state == "RUNNING":
                tracked = self._noted_beginning(tracked)
            self._tracked[tracked.job.identity] = replace(tracked, gone=None)
        elif tracked.gone is None:
            self._tracked[tracked.job.identity] = replace(tracked, gone=now)
        elif now - tracked.gone >= SECONDS_TO_SETTLE and not tracked.array.result(tracked.index).exists():
            self._settle(tracked, "" if state is None else state.state)

    def _settle(self, tracked: _Tracked, state: str) -> None:
        """Decide on a task that ended without a report."""
        if state == "PREEMPTED" and self._reason is None and self._put_back(tracked):
            return
        # Slurm does not show a task at all that was cancelled while it waited; a task that has run has noted its start.
        is_cancelled = state == "CANCELLED" or not (state or tracked.array.starts(tracked.index).exists())
        if is_cancelled or self._reason is not None:
            reason = self._reason or f"its Slurm task {tracked.task_id} was cancelled"
            close(tracked.job, State.KILLED, reason)
            self._end(tracked, Outcome(tracked.job, State.KILLED, reason))
            return
        what = f"ended ({state})" if state else "is not known to Slurm any more and ended"
        reason = f"its Slurm task {tracked.task_id} {what} without reporting a result"
        self._end(tracked, Outcome(tracked.job, State.LOST, reason, is_lost=True))

    def _end(self, tracked: _Tracked, outcome: Outcome) -> None:
        tracked = self._noted_beginning(tracked)
        del self._tracked[tracked.job.identity]
        if outcome.is_lost:
            self._former[tracked.job.identity] = tracked
        seconds = outcome.seconds or time.monotonic() - (tracked.began or time.monotonic())
        self._ended.append(replace(outcome, seconds=seconds))

    def _noted_beginning(self, tracked: _Tracked) -> _Tracked:
        if tracked.began is not None:
            return tracked
        self._begun.append(tracked.job)
        return replace(tracked, began=time.monotonic())
