"""The profile of a run: every second is counted once, and wrapped parts do what they did before."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rich.console import Console

from infomcr_cli.console.progress import time_table
from infomcr_cli.models.score import Score
from infomcr_cli.training.loop import Position, TrainingInputs
from infomcr_cli.training.profile import PARTS, ProfiledCallback, Stopwatch, timed_inputs
from infomcr_cli.training.stop_at_loss import LossTarget


def test_profile_parts_sum_to_the_whole_time() -> None:
    watch = Stopwatch()
    with watch.part("input"):
        time.sleep(0.02)
    time.sleep(0.01)
    before = time.perf_counter() - watch.began
    table = watch.table()
    after = time.perf_counter() - watch.began
    assert tuple(table) == PARTS
    assert table["input"] >= 0.02
    assert table["rest"] >= 0.01
    assert before <= sum(table.values()) + 1e-6 <= after + 2e-6


def test_timed_inputs_give_the_same_batches_and_scores() -> None:
    watch = Stopwatch()
    target = LossTarget(0.5, lambda ceiling: Score(0.4, 0.9))
    inputs = TrainingInputs(lambda start: range(start.step, 5), 8, {"test": lambda: Score(1.0, 0.5)}, target)
    timed = timed_inputs(inputs, watch)
    assert list(timed.batches(Position(2, 0))) == [2, 3, 4]
    assert timed.evaluations["test"]() == Score(1.0, 0.5)
    assert timed.target is target
    assert target.evaluate() == (Score(0.4, 0.9), (1.0, 0.5))
    assert min(watch.seconds["input"], watch.seconds["evaluation"]) > 0


def test_profiled_callback_passes_on_every_call(tmp_path: Path) -> None:
    class Calls(list[tuple[Any, ...]]):
        def __getattr__(self, name: str) -> Any:
            return lambda *arguments: self.append((name, *arguments))

    calls, means = Calls(), dict
    callback = ProfiledCallback(calls, Stopwatch(), tmp_path)  # type: ignore[arg-type]
    callback.on_step(Position(1, 0), means)
    callback.on_epoch(Position(1, 1), {"a": 1.0}, {})
    callback.on_checkpoint(Position(1, 1), 0.5)
    callback.on_milestone(Position(1, 1), 0.3)
    callback.close()
    assert calls == [
        ("on_step", Position(1, 0), means),
        ("on_epoch", Position(1, 1), {"a": 1.0}, {}),
        ("on_checkpoint", Position(1, 1), 0.5),
        ("on_milestone", Position(1, 1), 0.3),
    ]


def test_time_table_shows_shares() -> None:
    console = Console(width=60, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(time_table({"input": 1.0, "compute": 3.0}))
    text = console.export_text()
    assert "25.0%" in text
    assert "4.00" in text
