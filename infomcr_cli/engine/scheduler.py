"""The scheduler of a sweep: submit jobs to an engine, collect outcomes, and retry or count them."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

from infomcr_cli.engine.job import Job, Outcome
from infomcr_cli.engine.process import GRACE, close
from infomcr_cli.runs import RunDirectory, State, is_run, read_status
from infomcr_cli.signals import Interrupted, Interruption

TICK = 0.25
PATIENCE = 60.0  # seconds beyond the grace of a stop that an engine has to say how its jobs ended


class Engine(Protocol):
    """The interface of an engine, which runs jobs."""

    def capacity(self) -> int:
        """Return the current maximum number of parallel jobs."""
        ...

    def submit(self, job: Job) -> None:
        """Start a job, for which there is room."""
        ...

    def wait(self, seconds: float) -> list[Outcome]:
        """Wait until a job has ended, at most some seconds; return those that have."""
        ...

    def stop(self, reason: str, *, grace: float) -> None:
        """Ask all running jobs to stop after the current step; kill those that have not after `grace` seconds."""
        ...

    def close(self) -> None:
        """Stop everything that is left and release all resources."""
        ...


@runtime_checkable
class QueueEngine(Engine, Protocol):
    """An engine with its own queue, which runs all submitted jobs even if the sweep's process is gone."""

    def begun(self) -> list[Job]:
        """Return the jobs that have started since the last call."""
        ...

    def where(self, job: Job) -> str | None:
        """Return the queue's id of a job; None if it was not submitted."""
        ...


class SweepStopped(Exception):
    """Another process ended the sweep; the message says how."""


class Listener(Protocol):
    """A callback that follows a sweep's progress."""

    def began(self, job: Job) -> None:
        """Note that a job has started."""

    def ended(self, outcome: Outcome, left: int) -> None:
        """Note that a job has ended, and that `left` are still to do."""

    def poll(self) -> None:
        """Do what is due at intervals; called several times a second."""


class Proposals(Protocol):
    """A source of jobs that depend on the results of earlier ones."""

    @property
    def left(self) -> int:
        """The number of jobs still to come."""
        ...

    def next(self) -> Job | None:
        """Return the next job; None if there is none at the moment."""
        ...


@dataclass
class SweepRunner:
    """Runs jobs on an engine.

    Args:
        retries:   how often a job whose process was lost is tried again.
        fail_fast: stop everything at the first failure.
        proposals: gives further jobs, once those that are known have begun; None: there are no others.
        number:    the signal that interrupted it; None: none did.
    """

    engine: Engine
    listeners: Sequence[Listener]
    retries: int = 0
    fail_fast: bool = False
    proposals: Proposals | None = None
    number: int | None = None
    _attempts: Counter[str] = field(default_factory=Counter)
    _outcomes: dict[str, Outcome] = field(default_factory=dict)
    _pending: deque[Job] = field(default_factory=deque)
    _running: dict[str, Job] = field(default_factory=dict)
    _stopping: str | None = None

    def run(self, jobs: Sequence[Job]) -> dict[str, Outcome]:
        """Run all jobs and return their results by identity.

        No process is left behind, unless the sweep is interrupted and its engine has a queue: there the jobs go on.
        """
        self._pending.extend(jobs)
        try:
            with Interruption() as interruption:
                self._until_done(interruption)
        finally:
            self.engine.close()
        self._count_the_rest()
        return self._outcomes

    def _count_the_rest(self) -> None:
        """Count the jobs without an outcome: those that were begun count as stopped, the others keep their state."""
        for job in [*self._running.values(), *self._pending]:
            if isinstance(self.engine, QueueEngine) and self.number is not None:
                self._outcomes[job.identity] = _left_behind(job, self.engine.where(job))
            elif self._attempts[job.identity]:
                close(job, State.KILLED, self._stopping)
                self._count(Outcome(job, State.KILLED, self._stopping))
            else:
                self._outcomes[job.identity] = Outcome(job, job.state, job.reason or "it was not begun")

    def _until_done(self, interruption: Interruption) -> None:
        try:
            while self._stopping is None:
                interruption.check()
                if not self._fill():
                    break
                self._wait(TICK)
        except SweepStopped as stop:
            self._drain(str(stop))
        except Interrupted as stop:
            self.number = stop.number
            self._leave(str(stop), GRACE)
        except KeyboardInterrupt:  # `Interruption` raises it at a second SIGINT
            self.number = 2
            self._leave("SIGINT, twice", 0.0)

    def _leave(self, reason: str, grace: float) -> None:
        if not isinstance(self.engine, QueueEngine):
            self._drain(reason, grace=grace)

    def _fill(self) -> bool:
        """Start as many jobs as there is room for; return whether any is running or still to be run."""
        while len(self._running) < self.engine.capacity() and (job := self._next()) is not None:
            self._running[job.identity] = job
            self._attempts[job.identity] += 1
            self.engine.submit(job)
            if not isinstance(self.engine, QueueEngine):  # a queue reports later when a job begins
                self._began(job)
        is_proposing = self.proposals is not None and self.proposals.left > 0
        return bool(self._pending or self._running) or is_proposing

    def _next(self) -> Job | None:
        if self._pending:
            return self._pending.popleft()
        return None if self.proposals is None else self.proposals.next()

    def _wait(self, seconds: float) -> None:
        ended = self.engine.wait(seconds)
        for job in self.engine.begun() if isinstance(self.engine, QueueEngine) else ():
            self._began(job)
        for outcome in ended:
            self._collect(outcome)
        for listener in self.listeners:
            listener.poll()
        if self.fail_fast and self._stopping is None:
            self._stop_at_a_failure(ended)

    def _began(self, job: Job) -> None:
        for listener in self.listeners:
            listener.began(job)

    def _collect(self, outcome: Outcome) -> None:
        job = self._running.pop(outcome.job.identity)
        attempts = self._attempts[job.identity]
        if outcome.is_lost and attempts <= self.retries and self._stopping is None:
            self._pending.appendleft(job)
            return
        if outcome.is_lost:
            times = "" if attempts == 1 else f", at each of {attempts} attempts"
            reason = f"{outcome.reason}{times}"
            close(outcome.job, State.FAILED, reason)
            outcome = replace(outcome, state=State.FAILED, reason=reason)
        self._count(outcome)

    def _count(self, outcome: Outcome) -> None:
        self._outcomes[outcome.job.identity] = outcome
        for listener in self.listeners:
            listener.ended(outcome, len(self._pending) + len(self._running))

    def _stop_at_a_failure(self, ended: Sequence[Outcome]) -> None:
        """Stop the sweep if a job has failed.

        All outcomes must be counted before: the job of one that is not counted would be waited for without end.
        """
        for job in (outcome.job for outcome in ended):
            known = self._outcomes.get(job.identity)
            if known is not None and known.state is State.FAILED:
                self._drain(f"--fail-fast, after {job.name} failed")
                return

    def _drain(self, reason: str, *, grace: float = GRACE) -> None:
        """Stop the running jobs and wait for them, with a limit; another SIGINT kills them at once."""
        self._stopping = reason
        self.engine.stop(reason, grace=grace)
        deadline = time.monotonic() + grace + PATIENCE
        try:
            while self._running and time.monotonic() < deadline:
                self._wait(TICK)
        except KeyboardInterrupt:
            self._drain("SIGINT, twice", grace=0.0)


def _left_behind(job: Job, task: str | None) -> Outcome:
    """Return the outcome of a job that an interrupted sweep leaves in a queue."""
    if task is None:
        return Outcome(job, job.state, job.reason or "it was not begun")
    state = read_status(RunDirectory(job.run)).state if is_run(job.run) else None
    return Outcome(job, state, f"it continues in the queue as {task}")
