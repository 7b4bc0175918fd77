"""Jobs on this machine: a process for each, as many at once as there are lanes."""

from __future__ import annotations

import time
from collections.abc import Callable

from infomcr_cli.engine.job import Job, Outcome
from infomcr_cli.engine.limits import Lanes, Limits
from infomcr_cli.engine.process import JobProcess
from infomcr_cli.engine.task import Task
from infomcr_cli.runs import State

TICK = 0.05


class LocalEngine:
    """See `infomcr_cli.engine.conduct.Engine`.

    Args:
        task:  what a job's process is told.
    """

    def __init__(self, lanes: Lanes, limits: Limits, task: Callable[[Job], Task]) -> None:
        self._lanes, self._limits, self._task = lanes, limits, task
        self._running: dict[int, JobProcess] = {}

    def capacity(self) -> int:
        """Return how many jobs may run at once."""
        return self._lanes.count

    def submit(self, job: Job) -> None:
        """Start a job in a free lane."""
        lane = next(number for number in range(self._lanes.count) if number not in self._running)
        process = JobProcess(self._lanes.environment(lane))
        process.give(job, self._task(job), self._limits)
        self._running[lane] = process

    def wait(self, seconds: float) -> list[Outcome]:
        """Return the jobs that ended, as soon as one has, or nothing after some seconds."""
        deadline = time.monotonic() + seconds
        while not (ended := self._ended()) and time.monotonic() < deadline:
            time.sleep(TICK)
        return ended

    def stop(self, reason: str, *, grace: float) -> None:
        """Ask all running jobs to stop at a step boundary."""
        for process in self._running.values():
            process.stop(State.KILLED, reason, grace=grace)

    def close(self) -> None:
        """End whatever is left."""
        for process in self._running.values():
            process.dispose()
        self._running.clear()

    def _ended(self) -> list[Outcome]:
        outcomes = {lane: process.poll() for lane, process in self._running.items()}
        for lane, outcome in outcomes.items():
            if outcome is not None:
                del self._running[lane]
        return [outcome for outcome in outcomes.values() if outcome is not None]
