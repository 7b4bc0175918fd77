"""What a sweep looks like: plain lines where nobody watches, a table that fits where somebody does."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from infomcr_cli.config.compose import compose_run
from infomcr_cli.engine.job import Job, Outcome
from infomcr_cli.engine.view import SweepView
from infomcr_cli.runs import MetricsLog, RunDirectory, State, new_status


def job(folder: Path, label: str = "seed=1 [red]x[/red]\x1b[2J") -> Job:
    return Job("a" * 64, (label,), label, compose_run(["schedule.epochs=3"]), folder / "run")


def written(width: int, terminal: bool) -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, width=width, force_terminal=terminal, color_system=None), out


def test_plain_lines_when_piped(tmp_path: Path) -> None:
    console, out = written(80, terminal=False)
    with SweepView(console, total=3, skipped=1) as view:
        view.began(job(tmp_path))
        view.poll()
        view.ended(Outcome(job(tmp_path), State.FAILED, "it broke", seconds=1.25), left=1)
    text = out.getvalue()
    assert text.splitlines()[0].startswith("2/3  FAILED  aaaaaaaaaaaaaaaa  seed=1 [red]x[/red]")
    assert "it broke" in text
    assert "\x1b" not in text


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_picture_shows_running_jobs_and_fits(tmp_path: Path, width: int) -> None:
    console, out = written(width, terminal=True)
    run = RunDirectory.create(tmp_path / "run", config=b"{}\n", overrides=[], status=new_status("a" * 64))
    MetricsLog(run).append(4, 2, {"train/loss": 0.1234}, {"images_per_second": 1500.0})
    view = SweepView(console, total=3, skipped=1)
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
