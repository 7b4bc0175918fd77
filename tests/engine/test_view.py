"""The terminal view of a sweep: plain lines in a pipe, a table that fits on a terminal."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from infomcr_cli.config.compose import compose_run
from infomcr_cli.engine.job import Job, Outcome
from infomcr_cli.engine.time_left import TimeLeft, cost_of
from infomcr_cli.engine.view import SweepView
from infomcr_cli.runs import MetricsLog, RunDirectory, State, new_status


def job(folder: Path, label: str = "seed=1 [red]x[/red]\x1b[2J") -> Job:
    return Job("a" * 64, (label,), label, compose_run(["schedule.epochs=3"]), folder / "run")


def other(folder: Path) -> Job:
    return replace(job(folder), identity="b" * 64)


def written(width: int, terminal: bool) -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, width=width, force_terminal=terminal, color_system=None), out


def test_plain_lines_when_piped(tmp_path: Path) -> None:
    console, out = written(80, terminal=False)
    with SweepView(console, [job(tmp_path), other(tmp_path)], skipped=1) as view:
        view.began(job(tmp_path))
        view.poll()
        view.ended(Outcome(job(tmp_path), State.FAILED, "it broke", seconds=1.25), left=1)
    text = out.getvalue()
    assert text.splitlines()[0].startswith("2/3  FAILED  seed=1 [red]x[/red]")
    assert "it broke" in text
    assert "\x1b" not in text


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_live_view_shows_running_jobs_and_fits_the_terminal(tmp_path: Path, width: int) -> None:
    console, out = written(width, terminal=True)
    run = RunDirectory.create(tmp_path / "run", config=b"{}\n", overrides=[], status=new_status("a" * 64))
    MetricsLog(run).append(4, 2, {"train/loss": 0.1234}, {"images_per_second": 1500.0})
    view = SweepView(console, [job(tmp_path), other(tmp_path)], skipped=1)
    view.began(job(tmp_path))
    view._refreshed = -1.0
    view.poll()
    console.print(view.renderable())
    text = out.getvalue()
    assert "1/3 done" in " ".join(text.split()) or width == 40
    assert "\x1b[2J" not in text
    assert all(len(line) <= width for line in text.splitlines())
    if width > 40:
        assert "2/3" in text
        assert "0.1234" in text
        assert "1,500" in text
        assert "seed=1 [red]x[/red]" in text
        assert "aaaaaaaa" not in text


class Clock:
    """Seconds that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_time_left_of_equal_jobs_is_right_from_the_first_job_on(tmp_path: Path, workers: int) -> None:
    clock, took = Clock(), 10.0
    jobs = [replace(job(tmp_path), identity=f"{number:064}") for number in range(8)]
    left = TimeLeft(jobs, clock)
    whole = took * len(jobs) / workers
    assert left.text() == ""
    for start in range(0, len(jobs), workers):
        for one in jobs[start : start + workers]:
            left.began(one)
        clock.now += took
        for one in jobs[start : start + workers]:
            left.ended(one, took)
        assert left.seconds() == pytest.approx(whole - clock.now)
    assert left.text() == ""


def test_time_left_counts_what_running_jobs_have_done_and_what_jobs_cost(tmp_path: Path) -> None:
    clock = Clock()
    plain = replace(job(tmp_path), identity="a" * 64)
    config = compose_run(["schedule.epochs=3", "reg=on", "reg.phases=111"])
    costly = [replace(plain, identity=letter * 64, config=config) for letter in "bc"]
    ratio = cost_of(costly[0]) / cost_of(plain)
    assert ratio > 1
    left = TimeLeft([plain, *costly], clock)
    for one in (plain, costly[0]):
        left.began(one)
    clock.now = 10.0
    left.ended(plain, 10.0)
    expected = 10 * (1 + ratio) / 2
    assert left.seconds() == pytest.approx(max((2 * expected - 10) / 2, expected))
    clock.now = 1e6  # a job that takes longer than expected does not make the time left negative
    assert left.seconds() == pytest.approx(expected)
    left.ended(costly[0], 70.0)
    assert left.seconds() == pytest.approx(70)
    assert left.text().endswith(" left")


def test_time_left_is_projected_from_running_jobs_until_one_has_ended(tmp_path: Path) -> None:
    clock = Clock()
    jobs = [replace(job(tmp_path), identity=f"{number:064}") for number in range(4)]
    left = TimeLeft(jobs, clock)
    for one in jobs[:2]:
        left.began(one)
    clock.now = 10.0
    left.has_done(jobs[0], 0.05)
    assert left.seconds() is None
    left.has_done(jobs[0], 0.25)
    assert left.seconds() == pytest.approx((4 * 40 - 2 * 10) / 2)
    left.ended(jobs[1], 10.0)
    assert left.seconds() == pytest.approx(10)
