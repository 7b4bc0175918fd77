"""Progress by equal parts: lines with the time left where there is no terminal, a bar where there is one."""

from __future__ import annotations

import io

from rich.console import Console

from infomcr_cli.console.parts import PartsProgress


def test_a_line_every_ten_seconds_says_how_much_time_is_left() -> None:
    out, now = io.StringIO(), [0.0]
    progress = PartsProgress(Console(file=out, width=100), "points", 10, done=2, clock=lambda: now[0])
    with progress.shown():
        now[0] = 100.0  # compilation is no part
        progress.begin()
        for _ in range(8):
            now[0] += 6.0
            progress.part("runs/a")
    assert out.getvalue().splitlines() == [
        "runs/a: points 4/10, about 0:00:36 left",
        "runs/a: points 6/10, about 0:00:24 left",
        "runs/a: points 8/10, about 0:00:12 left",
    ]


def test_a_terminal_shows_a_bar_that_is_gone_at_the_end() -> None:
    out = io.StringIO()
    progress = PartsProgress(Console(file=out, width=100, force_terminal=True), "points", 2)
    with progress.shown():
        progress.part("runs/[a]")
        progress._bar.refresh()  # type: ignore[union-attr]
        assert "runs/[a]" in out.getvalue()
        assert "1/2" in out.getvalue()
        assert "left" in out.getvalue()
