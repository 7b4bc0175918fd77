"""Jobs on this machine: a process for each, as many at once as there are slots.

A process imports TensorFlow for seconds before it can work. So while a job trains, the process of the next job is
started in the same slot, imports everything, and waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import psutil

from infomcr_cli.engine.job import Job, Outcome
from infomcr_cli.engine.limits import RECKONED_BYTES, Limits, Slots
from infomcr_cli.engine.messages import Task
from infomcr_cli.engine.process import JobProcess
from infomcr_cli.runs import State

TICK = 0.05


class LocalEngine:
    """See `infomcr_cli.engine.scheduler.Engine`.

    Args:
        jobs: how many there are in all.
        task: what is sent to a job's process.
    """

    def __init__(self, slots: Slots, limits: Limits, jobs: int, task: Callable[[Job], Task]) -> None:
        self._slots, self._limits, self._task = slots, limits, task
        self._left = jobs
        self._running: dict[int, JobProcess] = {}
        self._spare: dict[int, JobProcess] = {}
        self._not_started: list[Outcome] = []

    def capacity(self) -> int:
        """Return how many jobs may run at once."""
        return self._slots.count

    def submit(self, job: Job) -> None:
        """Start a job in a free slot."""
        slot = next(number for number in range(self._slots.count) if number not in self._running)
        self._left -= 1
        try:
            process = self._spare.pop(slot, None) or JobProcess(self._slots.environment(slot))
        except OSError as error:
            reason = f"its process could not be started: {error.strerror}"
            self._not_started.append(Outcome(job, State.LOST, reason, is_lost=True))
            return
        process.give(job, self._task(job), self._limits)
        self._running[slot] = process

    def wait(self, seconds: float) -> list[Outcome]:
        """Wait until a job has ended, at most some seconds; return those that have."""
        deadline = time.monotonic() + seconds
        while not (ended := self._ended()) and time.monotonic() < deadline:
            self._prepare()
            time.sleep(TICK)
        return ended

    def stop(self, reason: str, *, grace: float) -> None:
        """Ask all running jobs to stop at a step boundary."""
        self._left = 0
        self._dismiss()
        for process in self._running.values():
            process.stop(State.KILLED, reason, grace=grace)

    def close(self) -> None:
        """Stop everything that is left."""
        self._dismiss()
        for process in self._running.values():
            process.kill()
        self._running.clear()

    def _prepare(self) -> None:
        """Start the process for the next job in a slot, if there is one and memory for it."""
        for slot, process in self._running.items():
            if slot in self._spare or len(self._spare) >= self._left or not process.is_ready:
                continue
            if psutil.virtual_memory().available > 2 * RECKONED_BYTES:
                with suppress(OSError):  # no more processes, or no room for its output: the job starts later
                    self._spare[slot] = JobProcess(self._slots.environment(slot))

    def _dismiss(self) -> None:
        for process in self._spare.values():
            process.kill()
        self._spare.clear()

    def _ended(self) -> list[Outcome]:
        outcomes = {slot: process.poll() for slot, process in self._running.items()}
        for slot, outcome in outcomes.items():
            if outcome is not None:
                del self._running[slot]
        not_started, self._not_started = self._not_started, []
        return [*not_started, *(outcome for outcome in outcomes.values() if outcome is not None)]
