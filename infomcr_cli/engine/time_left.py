"""The time that a sweep still needs, from what its jobs cost and how many run at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import mean

from infomcr_cli.config.compute import mean_passes
from infomcr_cli.engine.job import Job


class TimeLeft:
    """Estimates the time left once a job has ended.

    A job's cost is the number of its epochs times the passes of a step. A job is expected to take the mean of the jobs
    of the same cost that have ended. If none has, half of the mean over all is taken to grow with the cost: start-up
    and evaluation do not. What is left of the jobs is shared by as many workers as have run at once.

    Args:
        jobs:  that are to be done.
        clock: in seconds.
    """

    def __init__(self, jobs: Sequence[Job], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._costs = {job.identity: cost_of(job) for job in jobs}  # of the jobs that have not ended
        self._began: dict[str, float] = {}
        self._took: dict[float, list[float]] = {}  # cost -> seconds of the jobs that have ended
        self._workers = 1

    def began(self, job: Job) -> None:
        """Note that a job has begun."""
        self._began[job.identity] = self._clock()
        self._workers = max(self._workers, len(self._began))

    def ended(self, job: Job, seconds: float) -> None:
        """Note that a job has ended after some seconds."""
        self._took.setdefault(self._costs.pop(job.identity, cost_of(job)), []).append(seconds)
        self._began.pop(job.identity, None)

    def seconds(self) -> float | None:
        """Return the seconds left; None: no job has ended yet."""
        if not self._took:
            return None
        now = self._clock()
        expected = {cost: self._expected(cost) for cost in {*self._costs.values()}}
        left = [expected[cost] - (now - self._began.get(name, now)) for name, cost in self._costs.items()]
        left = [max(0.0, one) for one in left]
        return max(sum(left) / self._workers, *left, 0.0)

    def _expected(self, cost: float) -> float:
        """Return the seconds that a job of some cost is expected to take."""
        if cost in self._took:
            return mean(self._took[cost])
        seconds = mean(one for ended in self._took.values() for one in ended)
        usual = mean(known for known, ended in self._took.items() for _ in ended)
        return seconds * (1 + cost / usual) / 2

    def text(self) -> str:
        """Return the time left as it is shown, empty if it is not known or none is left."""
        left = self.seconds()
        if left is None or not self._costs:
            return ""
        seconds = round(left)
        return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d} left"


def cost_of(job: Job) -> float:
    """Return what training a job costs, in forward and backward passes over its training images."""
    return job.config.schedule.epochs * mean_passes(job.config.reg, job.config.schedule)
