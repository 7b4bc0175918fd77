"""One attempt at a job, beside another process that does the same."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from infomcr_cli.config.compose import compose_run
from infomcr_cli.engine import run_job as place
from infomcr_cli.engine.job import Job
from infomcr_cli.engine.messages import Event, task_of
from infomcr_cli.engine.run_job import run_job
from infomcr_cli.errors import InputError
from infomcr_cli.runs import RunDirectory, State, finished, new_status, read_status, write_status


def test_a_run_that_another_sweep_creates_meanwhile_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job("a" * 64, (), "", compose_run([]), tmp_path / "a")
    create = RunDirectory.create

    def create_second(*arguments: Any, **named: Any) -> RunDirectory:
        run = create(job.run, config=b"{}\n", overrides=[], status=new_status(job.identity))
        write_status(run, finished(read_status(run), State.FINISHED))
        return create(*arguments, **named)

    monkeypatch.setattr(place.RunDirectory, "create", create_second)
    event = run_job(task_of(job, evaluate=False, cwd=tmp_path, log=tmp_path / "log"))
    assert (event.kind, event.state) == ("ended", State.FINISHED)


def test_a_place_that_is_taken_by_something_else_is_refused(tmp_path: Path) -> None:
    job = Job("a" * 64, (), "", compose_run([]), tmp_path / "a")
    job.run.write_text("no run")
    with pytest.raises(InputError, match="already exists"):
        run_job(task_of(job, evaluate=False, cwd=tmp_path, log=tmp_path / "log"))


def test_a_full_disk_of_the_log_ends_no_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job("a" * 64, (), "", compose_run([]), tmp_path / "a")

    def train(run: Any, task: Any, console: Console, began: float) -> Event:
        console.print("an epoch")
        return Event(kind="ended", state=State.KILLED)

    monkeypatch.setattr(place, "_train", train)
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        assert run_job(task_of(job, evaluate=False, cwd=tmp_path, log=tmp_path / "log")).state is State.KILLED
        monkeypatch.undo()
        with suppress(OSError):
            full.close()
