"""The scheduler alone, with a fake engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from infomcr_cli.config.compose import compose_run
from infomcr_cli.engine import scheduler
from infomcr_cli.engine.job import Job, Outcome
from infomcr_cli.engine.process import GRACE
from infomcr_cli.engine.scheduler import SweepRunner
from infomcr_cli.runs import State

MOST_WAITS = 200
Ends = Callable[[list[Job]], list[Outcome]]


@dataclass
class Engine:
    """Room for three.

    Args: ends: what became of the running jobs by now.
    """

    ends: Ends
    running: list[Job] = field(default_factory=list)
    stopped: str | None = None
    waits: int = 0

    def capacity(self) -> int:
        return 3

    def submit(self, job: Job) -> None:
        self.running.append(job)

    def wait(self, seconds: float) -> list[Outcome]:
        self.waits += 1
        assert self.waits < MOST_WAITS, "it waits without end"
        ended = self.ends(self.running)
        self.running = [job for job in self.running if job not in [outcome.job for outcome in ended]]
        return ended

    def stop(self, reason: str, *, grace: float) -> None:
        self.stopped = reason

    def close(self) -> None:
        self.running.clear()


@dataclass
class Listener:
    heard: list[Outcome] = field(default_factory=list)

    def began(self, job: Job) -> None: ...

    def ended(self, outcome: Outcome, left: int) -> None:
        self.heard.append(outcome)

    def poll(self) -> None: ...


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    config = compose_run([])
    return [Job(letter * 64, (), letter, config, tmp_path / letter) for letter in "abcd"]


def states(outcomes: dict[str, Outcome], jobs: Sequence[Job]) -> list[str]:
    return [str(outcomes[job.identity].state) for job in jobs]


def all_at_once(*endings: State) -> Ends:
    return lambda running: [Outcome(job, state) for job, state in zip(running, endings, strict=False)]


@pytest.mark.parametrize("endings", [(State.FAILED, State.FINISHED), (State.FINISHED, State.FAILED)])
def test_fail_fast_counts_all_that_ended_together(jobs: list[Job], endings: tuple[State, ...]) -> None:
    listener, engine = Listener(), Engine(all_at_once(*endings))
    outcomes = SweepRunner(engine, [listener], fail_fast=True).run(jobs[:2])
    assert states(outcomes, jobs[:2]) == list(endings)
    assert len(listener.heard) == 2
    assert engine.stopped is not None
    assert engine.stopped.startswith("--fail-fast, after")


def test_fail_fast_stops_what_runs_and_leaves_what_does_not(jobs: list[Job]) -> None:
    def ends(running: list[Job]) -> list[Outcome]:
        if engine.stopped is None:
            return [Outcome(running[0], State.FAILED)]
        return [Outcome(job, State.KILLED, engine.stopped) for job in running]

    engine = Engine(ends)
    outcomes = SweepRunner(engine, [], fail_fast=True).run(jobs)
    assert states(outcomes, jobs) == ["FAILED", "KILLED", "KILLED", "None"]
    assert outcomes[jobs[3].identity].reason == "it was not begun"


def test_a_job_waiting_for_its_retry_is_reported_as_stopped(jobs: list[Job]) -> None:
    def ends(running: list[Job]) -> list[Outcome]:
        return [Outcome(running[0], State.FAILED), Outcome(running[1], State.LOST, is_lost=True)]

    listener = Listener()
    outcomes = SweepRunner(Engine(ends), [listener], retries=2, fail_fast=True).run(jobs[:2])
    assert states(outcomes, jobs[:2]) == ["FAILED", "KILLED"]
    assert "--fail-fast" in str(outcomes[jobs[1].identity].reason)
    assert [outcome.job for outcome in listener.heard] == jobs[:2]


def test_the_wait_for_an_engine_without_outcomes_is_bounded(jobs: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    def ends(running: list[Job]) -> list[Outcome]:
        return [Outcome(job, State.FAILED) for job in running if job is jobs[0]]

    monkeypatch.setattr(scheduler, "PATIENCE", -GRACE)
    listener = Listener()
    outcomes = SweepRunner(Engine(ends), [listener], fail_fast=True).run(jobs[:2])
    assert states(outcomes, jobs[:2]) == ["FAILED", "KILLED"]
    assert [outcome.job for outcome in listener.heard] == jobs[:2]
