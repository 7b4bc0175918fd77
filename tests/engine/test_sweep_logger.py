"""The sweep's logger alone, with a fake store."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from infomcr_cli.config.compose import compose_run
from infomcr_cli.engine import mlflow as place
from infomcr_cli.engine.job import Job, Outcome
from infomcr_cli.engine.mlflow import SweepLogger
from infomcr_cli.errors import InputError
from infomcr_cli.runs import RunDirectory, State, finished, lock_run, new_status, read_status, write_status
from infomcr_cli.tracking.store import Store

STORE = Store("http://127.0.0.1:9", "infomcr")


@dataclass
class Answers:
    """A fake of the functions in `infomcr_cli.tracking`.

    Args:
        parent: the sweep's run that is there; None: it must be made.
        before: called before a run is pushed, with the number of pushes so far; it may raise.
    """

    parent: str | None = None
    before: Callable[[int], object] = lambda pushes: None
    pushed: list[tuple[str, str]] = field(default_factory=list)
    ended: list[tuple[str, str]] = field(default_factory=list)
    calls: int = 0

    def mirror(self, run: RunDirectory, store: Store, *, client: Any, progress: Any, tags: Any) -> str:
        state = read_status(run).state
        self.calls += 1
        self.before(self.calls)
        progress.run_id, progress.state = f"mirror of {run.name}", state
        self.pushed.append((run.name, str(state)))
        return str(progress.run_id)

    def find_parent(self, store: Store, uid: str) -> str | None:
        return self.parent

    def start_parent(self, store: Store, name: str, uid: str, tags: Any) -> str:
        self.parent = self.parent or "made"
        return self.parent

    def end_parent(self, store: Store, run_id: str, state: State) -> None:
        self.ended.append((run_id, str(state)))


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    fake = Answers()
    monkeypatch.setattr("infomcr_cli.tracking.client.connect", lambda store: "client")
    monkeypatch.setattr("infomcr_cli.tracking.sync.mirror", fake.mirror)
    for name in ("find_parent", "start_parent", "end_parent"):
        monkeypatch.setattr(f"infomcr_cli.tracking.parents.{name}", getattr(fake, name))
    return fake


def job_in(folder: Path, state: State, letter: str = "a") -> Job:
    status = new_status(letter * 64)
    run = RunDirectory.create(folder / letter, config=b"{}\n", overrides=[], status=status)
    if state is not State.RUNNING:
        write_status(run, finished(status, state))
    return Job(letter * 64, (), "", compose_run([]), run.path, state)


def opened(*mirrored: Job) -> SweepLogger:
    return SweepLogger(STORE, "sweep", "u" * 32, {}, [job.identity for job in mirrored])


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.005)


def test_a_run_that_was_refused_does_not_count_as_mirrored(tmp_path: Path, answers: Answers) -> None:
    def refuse(pushes: int) -> None:
        raise InputError("line 1 of metrics.jsonl must be a JSON document")

    answers.before = refuse
    logger, job = opened(), job_in(tmp_path, State.FINISHED)
    logger.add_existing(job)
    assert not logger.close(State.FINISHED)
    assert logger.mirrored == set()
    assert answers.ended == [("made", "FINISHED")]


@pytest.mark.parametrize("found", [State.RUNNING, State.FINISHED])
def test_a_job_that_ends_while_it_is_pushed_is_pushed_again_or_not_mirrored(
    tmp_path: Path, answers: Answers, found: State
) -> None:
    """In training, or trained and being measured: its last numbers are not there yet."""
    job = job_in(tmp_path, found)

    def end_meanwhile(pushes: int) -> None:
        if pushes > 1:
            raise ConnectionError("the store is gone")
        write_status(RunDirectory.open(job.run), finished(new_status(job.identity), State.FINISHED))
        logger.ended(Outcome(job, State.FINISHED), 0)

    answers.before = end_meanwhile
    logger = opened()
    with lock_run(RunDirectory.open(job.run)):
        logger.began(job)
        logger._last_poll = -1e9
        logger.poll()
        wait_until(lambda: answers.calls > 1)
    assert answers.pushed == [("a", str(found))]
    assert not logger.close(State.FINISHED)
    assert logger.mirrored == set()
    answers.before = lambda pushes: None
    again = opened()
    again.add_existing(job)
    assert again.close(State.FINISHED)
    assert again.mirrored == {job.identity}
    assert answers.pushed[1:] == [("a", "FINISHED")]


def test_a_run_that_another_process_continues_is_not_mirrored_as_ended(tmp_path: Path, answers: Answers) -> None:
    logger, job = opened(), job_in(tmp_path, State.RUNNING)
    with lock_run(RunDirectory.open(job.run)):
        logger.began(job)
        logger.ended(Outcome(job, State.FAILED, "another process holds it"), 0)
        assert logger.close(State.FAILED)
    assert answers.pushed == [("a", "RUNNING")]
    assert logger.mirrored == set()


@pytest.mark.parametrize("parent", ["there", None])
def test_what_was_mirrored_is_mirrored_again_only_where_the_parent_is_gone(
    tmp_path: Path, answers: Answers, parent: str | None
) -> None:
    answers.parent = parent
    job, other = job_in(tmp_path, State.FINISHED), job_in(tmp_path, State.FINISHED, "b")
    logger = opened(job, other)
    logger.add_existing(job)
    assert logger.close(State.FINISHED)
    assert answers.pushed == ([] if parent else [("a", "FINISHED")])
    assert logger.mirrored == ({job.identity, other.identity} if parent else {job.identity})


def test_a_run_that_was_removed_is_not_left_running(tmp_path: Path, answers: Answers) -> None:
    logger, job = opened(), job_in(tmp_path, State.RUNNING)
    logger.began(job)
    logger._last_poll = -1e9
    logger.poll()
    wait_until(lambda: answers.pushed)
    job.run.rename(tmp_path / "gone")
    logger.ended(Outcome(job, State.FAILED, "a setting does not fit"), 0)
    assert logger.close(State.FAILED)
    assert answers.ended == [("mirror of a", "FAILED"), ("made", "FAILED")]


def test_a_store_that_answered_until_the_last_moment_is_tried_twice(tmp_path: Path, answers: Answers) -> None:
    began = threading.Event()

    def hiccup(pushes: int) -> None:
        if pushes == 1:
            began.set()
            assert logger._is_closing.wait(20)
        if pushes == 2:
            raise ConnectionError("an answer was lost")

    answers.before = hiccup
    logger = opened()
    logger.add_existing(job_in(tmp_path, State.FINISHED))
    assert began.wait(20)
    logger.add_existing(job_in(tmp_path, State.FINISHED, "b"))
    assert logger.close(State.FINISHED)
    assert answers.pushed == [("a", "FINISHED"), ("b", "FINISHED")]
    assert answers.ended == [("made", "FINISHED")]


def test_a_store_that_hangs_has_little_time_once_somebody_waits(
    tmp_path: Path, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    hang = threading.Event()
    answers.before = lambda pushes: hang.wait(60)
    monkeypatch.setattr(place, "HURRY", 0.2)
    logger = opened()
    logger.add_existing(job_in(tmp_path, State.FINISHED))
    began = time.monotonic()
    assert not logger.close(State.FINISHED, is_hurried=lambda: True)
    assert time.monotonic() - began < 10
    hang.set()
    logger._thread.join(20)
