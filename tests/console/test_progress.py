"""What a terminal shows of training and measuring: lines that fit, changes that are said once, the time left."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from infomcr_cli.config.schema.run import ScheduleConfig
from infomcr_cli.console.measuring import MeasuringProgress
from infomcr_cli.console.progress import TrainingProgress
from infomcr_cli.console.training_time import TrainingTime
from infomcr_cli.training.schedule import Schedule, learning_rate

TIMING = {"train_seconds": 100.0, "eval_seconds": 12.0, "images_per_second": 3021.4}
SCORES = {"train/loss": 0.01234, "train/accuracy": 0.998}
ALL = {
    **SCORES,
    "train/penalty": 1.234e-3,
    "validation/loss": 0.2,
    "validation/accuracy": 0.97,
    "test/loss": 0.3,
    "test/accuracy": 0.981,
    "clean_train/loss": 0.009,
    "clean_train/accuracy": 1.0,
}


def printed(width: int, values: dict[str, float], *, terminal: bool, epochs: int = 200) -> str:
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=terminal, color_system=None)
    TrainingProgress(console, TrainingTime(epochs, 20 * epochs), 64).epoch(epochs - 1, values, TIMING)
    return file.getvalue()


@pytest.mark.parametrize("epochs", [20, 200, 10_000])
@pytest.mark.parametrize("values", [SCORES, {**SCORES, "test/loss": 0.3, "test/accuracy": 0.981}, ALL])
def test_epoch_line_fits_eighty_columns(values: dict[str, float], epochs: int) -> None:
    line = printed(80, values, terminal=True, epochs=epochs)
    assert line.count("\n") == 1
    assert len(line.rstrip("\n")) <= 80
    assert "0.0123" in line
    assert "99.80%" in line
    if "test/loss" in values:
        assert "test 0.3000 98.10%" in line or "test loss 0.3000 accuracy 98.10%" in line


def test_wide_and_piped_lines_have_everything_in_words() -> None:
    whole = (
        "epoch 199/200  loss 0.0123 accuracy 99.80% penalty 1.23e-03  validation loss 0.2000 accuracy 97.00%  "
        "test loss 0.3000 accuracy 98.10%  clean train loss 0.0090 accuracy 100.00%  3,021 images/s  0:01:52 left\n"
    )
    assert printed(300, ALL, terminal=True) == printed(80, ALL, terminal=False) == whole


def test_time_left_counts_later_phases_evaluations_and_half_epochs() -> None:
    """Ten epochs of 5 steps; from step 25 on each costs three passes of 2 s; every fifth epoch is evaluated in 7 s."""

    def passes(step: int) -> float:
        return step + 2 * max(0, step - 25)

    def seconds(first: int, last: int) -> float:
        return 2 * (passes(last) - passes(first))

    left = TrainingTime(10, 50, 0, passes, every=5)
    assert left.left(1, seconds(0, 5), 0.0) == seconds(5, 50)  # what an evaluation takes is not known yet
    assert left.left(5, seconds(20, 25), 7.0) == seconds(25, 50) + 7.0
    assert left.left(6, seconds(25, 30), 0.0) == seconds(30, 50) + 7.0
    assert left.left(10, seconds(45, 50), 7.0) == 0.0
    resumed = TrainingTime(10, 50, 29, passes, every=5)
    assert resumed.left(6, seconds(29, 30), 0.0) == seconds(30, 50)
    every = TrainingTime(10, 50, every=4)  # after epochs 4, 8 and 10
    assert every.left(4, 5.0, 7.0) == 30.0 + 2 * 7.0


def schedule(**changes: Any) -> Schedule:
    settings: dict[str, Any] = {
        "name": "piecewise",
        "epochs": 10,
        "boundaries": (0.3, 0.6),
        "factor": 0.2,
        "phases": (0.3, 0.6),
        "warmup_epochs": 0,
        "stop_at_train_loss": None,
        "eval_every": 1,
        "checkpoint_every": 1,
        "keep_checkpoints": None,
    }
    return Schedule(ScheduleConfig(**{**settings, **changes}), 5, "010")


def test_changes_are_those_of_the_learning_rate_and_of_the_regularizer() -> None:
    assert schedule().changes(0.1) == {
        15: "learning rate 0.02, regularizer on",
        30: "learning rate 0.004, regularizer off",
    }
    assert schedule().changes(0.1, regularized=False) == {15: "learning rate 0.02", 30: "learning rate 0.004"}
    assert schedule(name="cosine", warmup_epochs=1).changes(0.1) == {
        5: "warm-up over, learning rate 0.1",
        15: "regularizer on",
        30: "regularizer off",
    }
    assert schedule(factor=1.0, phases=(0.0, 1.0)).changes(0.1) == {}


@pytest.mark.parametrize("warmup", [0, 1, 3, 4, 7, 9])
def test_a_change_names_the_rate_that_the_schedule_gives(warmup: int) -> None:
    planned = schedule(warmup_epochs=warmup, phases=(0.0, 1.0))
    rate, changes = learning_rate(planned, 0.1), planned.changes(0.1)
    assert callable(rate)
    for step, text in changes.items():
        assert float(text.rpartition(" ")[2]) == pytest.approx(float(rate(step)), rel=2e-3)
    assert max(changes) == max(5 * warmup, 30)


def test_each_change_is_said_once_with_the_first_step_that_has_it() -> None:
    """The rate of step number s is used in the step that makes s + 1 of them."""
    changes = schedule().changes(0.1)
    file = io.StringIO()
    progress = TrainingProgress(Console(file=file, width=80), TrainingTime(10, 50), 64, changes)
    for step in range(1, 51):
        progress.step(step, (step - 1) // 5, lambda: SCORES)
    assert file.getvalue().splitlines() == [
        "epoch 4: learning rate 0.02, regularizer on",
        "epoch 7: learning rate 0.004, regularizer off",
    ]


def measured(seconds: list[float]) -> list[str]:
    """Measure gamma of ten draws and another measure; the clock moves as given."""
    file, clock = io.StringIO(), iter(seconds)
    now = [0.0]

    def tick() -> float:
        return now[0]

    with MeasuringProgress(Console(file=file, width=80), tick).shown() as progress:
        progress.measure(1, 2, "gamma", 0.0, 1.0)
        for done in range(1, 11):
            now[0] += next(clock)
            progress.part(done, 10, "draws")
        progress.measure(2, 2, "sharpness", 1.0, 0.0)
    return file.getvalue().splitlines()


def test_piped_progress_of_an_evaluation_is_a_line_every_ten_seconds() -> None:
    assert measured([0.1] * 10) == []
    assert measured([6.0] * 10) == [
        "measure 1/2 gamma: draws 2/10, about 0:00:48 left",
        "measure 1/2 gamma: draws 4/10, about 0:00:36 left",
        "measure 1/2 gamma: draws 6/10, about 0:00:24 left",
        "measure 1/2 gamma: draws 8/10, about 0:00:12 left",
        "measure 2/2 sharpness",
    ]


def test_bar_of_an_evaluation_is_gone_when_all_is_measured() -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    with MeasuringProgress(console).shown() as progress:
        progress.measure(1, 2, "gamma[red]", 0.0, 0.8)
        progress.part(1, 2, "draws")
        assert progress._bar is not None
        assert progress._bar.tasks[0].description == "measure 1/2 gamma[red]: draws 1/2"
        assert progress._bar.tasks[0].completed == 0.4
    assert progress._bar is None


def test_shares_of_the_work_sum_to_one_and_passes_that_are_shared_count_once() -> None:
    from infomcr_cli.config.compose import compose_run
    from infomcr_cli.measures.base import chosen_measures
    from infomcr_cli.measures.work import work_shares

    config = compose_run(["measure=all"]).measure
    measures = chosen_measures("all")
    shares = dict(zip([one.name for one in measures], work_shares(measures, config), strict=True))
    assert sum(shares.values()) == pytest.approx(1)
    assert min(shares.values()) > 0
    assert shares["gamma"] > 50 * shares["fisher_trace"]  # read off the same draws
