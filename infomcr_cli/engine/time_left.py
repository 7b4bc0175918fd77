"""The time that a sweep still needs, from what its jobs cost and how many run at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import mean
from typing import TYPE_CHECKING

from infomcr_cli.console.text import clock_time

if TYPE_CHECKING:
    from infomcr_cli.engine.job import Job


class TimeLeft:
    """Estimates the time left once a job has ended, or a tenth of one is done.

    A job's cost is the number of its epochs times the passes of a step. A job is expected to take the mean of the jobs
    of the same cost that have ended. If none has, half of the mean over all is taken to grow with the cost: start-up
    and evaluation do not. What is left of the jobs is shared by as many workers as have run at once.

    Args:
        jobs:  that are to be done.
        clock: in seconds.
        more:  costs of jobs that are to be done too, and are not known yet.
    """

    def __init__(
        self, jobs: Sequence[Job], clock: Callable[[], float] = time.monotonic, more: Sequence[float] = ()
    ) -> None:
        self._clock = clock
        self._costs = {job.identity: cost_of(job) for job in jobs}  # of the jobs that have not ended
        self._more = list(more)
        self._began: dict[str, float] = {}
        self._took: list[tuple[float, float]] = []  # cost and seconds of the jobs that have ended
        self._done: dict[str, float] = {}  # share of a running job
        self._workers = 1

    def began(self, job: Job) -> None:
        """Note that a job has begun."""
        if job.identity not in self._costs:
            self._costs[job.identity] = cost_of(job)
            del self._more[:1]
        self._began[job.identity] = self._clock()
        self._workers = max(self._workers, len(self._began))

    def ended(self, job: Job, seconds: float) -> None:
        """Note that a job has ended after some seconds."""
        self._took.append((self._costs.pop(job.identity, cost_of(job)), seconds))
        self._began.pop(job.identity, None)

    def has_done(self, job: Job, share: float) -> None:
        """Note how much of a running job is done, 0 to 1; it counts until a job has ended."""
        self._done[job.identity] = share

    def seconds(self) -> float | None:
        """Return the seconds left; None: no job has ended yet."""
        now = self._clock()
        known = self._took
        if not known:  # the running jobs are taken to go on as they began
            shares = {name: self._done.get(name, 0.0) for name in self._began if name in self._costs}
            begun = [(name, share) for name, share in shares.items() if share > 0.1]
            known = [(self._costs[name], (now - self._began[name]) / share) for name, share in begun]
        if not known:
            return None
        left = [(cost, now - self._began.get(name, now)) for name, cost in self._costs.items()]
        return seconds_left([*left, *((cost, 0.0) for cost in self._more)], known, self._workers)

    def text(self) -> str:
        """Return the time left as it is shown, empty if it is not known or none is left."""
        left = self.seconds()
        return "" if left is None or not (self._costs or self._more) else f"{clock_time(left)} left"


def seconds_left(
    left: Sequence[tuple[float, float]], known: Sequence[tuple[float, float]], workers: int
) -> float | None:
    """Return the seconds that some jobs still need; None: nothing is known of others.

    Args:
        left:    cost of each job that has not ended, and the seconds that it has run for.
        known:   cost and seconds of jobs that ended.
        workers: jobs that run at once.

    Examples:
        >>> seconds_left([(1.0, 4.0), (1.0, 0.0)], [(1.0, 10.0)], workers=1)
        16.0
    """
    if not known:
        return None
    expected = {cost: _expected(cost, known) for cost in {cost for cost, _ in left}}
    each = [max(0.0, expected[cost] - run_for) for cost, run_for in left]
    return max(sum(each) / workers, *each, 0.0)  # at least the longest job, which workers cannot share


def _expected(cost: float, known: Sequence[tuple[float, float]]) -> float:
    """Return the seconds that a job of some cost is expected to take, from the costs and seconds of others."""
    if same := [seconds for other, seconds in known if other == cost]:
        return mean(same)
    usual, seconds = mean(other for other, _ in known), mean(seconds for _, seconds in known)
    return seconds * (1 + cost / usual) / 2


def cost_of(job: Job) -> float:
    """Return what training a job costs, in forward and backward passes over its training images."""
    from infomcr_cli.config.compute import mean_passes  # it imports the schema, which `sweep --status` does not need

    return job.config.schedule.epochs * mean_passes(job.config.reg, job.config.schedule)
