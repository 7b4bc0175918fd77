"""The loop, told by a callback that writes down what it hears."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from infomcr_cli.config.schema.run import ScheduleConfig
from infomcr_cli.models.score import Score
from infomcr_cli.training.loop import LossNotFiniteError, Position, TrainingInputs, run_epochs
from infomcr_cli.training.schedule import Schedule
from infomcr_cli.training.stop_at_loss import LossTarget

STEPS = 3
START = Position()


class Pupil:
    """Stands for a state: notes its steps, fails at one of them."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.taken: list[tuple[str, Any]] = []
        self._fails_at, self._resets = fails_at, 0
        self.failed_at = SimpleNamespace(numpy=self._failed_at)

    def plain_step(self, images: Any, labels: Any) -> None:
        self.taken.append(("plain", images))

    def regularized_step(self, images: Any, labels: Any) -> None:
        self.taken.append(("regularized", images))

    def means(self) -> dict[str, float]:
        return {"loss": float(len(self.taken))}

    def learning_rate(self) -> float:
        return 0.5

    def reset_means(self) -> None:
        self._resets += 1

    def _failed_at(self) -> int:
        failed = self._fails_at is not None and any(image == self._fails_at for _, image in self.taken)
        return self._fails_at if failed and self._fails_at is not None else -1


class Scribe:
    """A callback."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.heard: list[tuple[Any, ...]] = []
        self.values: list[dict[str, float]] = []
        self._stop_at = stop_at

    def on_step(self, position: Position, means: Callable[[], dict[str, float]]) -> None:
        self.heard.append(("step", position.step))
        if position.step == self._stop_at:
            raise InterruptedError

    def on_epoch(self, position: Position, values: dict[str, float], timing: dict[str, float]) -> None:
        self.heard.append(("epoch", position.step, position.epoch))
        self.values.append(values)
        assert timing["train_seconds"] >= 0

    def on_milestone(self, position: Position, level: float) -> None:
        self.heard.append(("milestone", position.epoch, level))

    def on_checkpoint(self, position: Position, train_loss: float) -> None:
        self.heard.append(("checkpoint", position.epoch, train_loss))

    def of(self, kind: str) -> list[tuple[Any, ...]]:
        return [entry[1:] for entry in self.heard if entry[0] == kind]


def stream(epochs: int) -> Callable[[Position], Iterable[Any]]:
    """Batch number i of all epochs is the number i."""

    def batches(start: Position) -> Iterator[tuple[int, int]]:
        return ((step, step) for step in range(start.step, epochs * STEPS))

    return batches


def go(
    pupil: Pupil,
    scribe: Scribe,
    start: Position = START,
    *,
    target: LossTarget | None = None,
    phases: str | None = None,
    **changes: Any,
) -> tuple[Position, bool]:
    settings: dict[str, Any] = {
        "name": "constant",
        "epochs": 4,
        "boundaries": (),
        "factor": 1.0,
        "phases": (0.25, 0.75),
        "warmup_epochs": 0,
        "stop_at_train_loss": None,
        "eval_every": 1,
        "checkpoint_every": 1,
        "keep_checkpoints": None,
    }
    config = ScheduleConfig(**{**settings, **changes})
    evaluations = {"validation": lambda: Score(0.7, 0.8), "test": lambda: Score(0.9, 0.6)}
    inputs = TrainingInputs(stream(config.epochs), 8, evaluations, target)
    state: Any = pupil
    return run_epochs(state, Schedule(config, STEPS, phases), inputs, scribe, start)


def test_every_step_is_taken_once_and_told_in_order() -> None:
    pupil, scribe = Pupil(), Scribe()
    assert go(pupil, scribe, epochs=2) == (Position(6, 2), False)
    assert [image for _, image in pupil.taken] == list(range(6))
    assert scribe.heard == [
        *[("step", 1), ("step", 2), ("step", 3), ("epoch", 3, 1), ("checkpoint", 1, 3.0)],
        *[("step", 4), ("step", 5), ("step", 6), ("epoch", 6, 2), ("checkpoint", 2, 6.0)],
    ]
    assert pupil._resets == 2


def test_what_is_due_every_so_many_epochs() -> None:
    scribe = Scribe()
    go(Pupil(), scribe, epochs=5, eval_every=2, checkpoint_every=3)
    assert [epoch for epoch, _ in scribe.of("checkpoint")] == [3, 5]
    assert ["test/loss" in values for values in scribe.values] == [False, True, False, True, True]
    assert scribe.values[1]["validation/accuracy"] == 0.8
    assert scribe.values[0] == {"train/loss": 3.0, "learning_rate": 0.5}


def test_phases_choose_the_step() -> None:
    pupil = Pupil()
    go(pupil, Scribe(), phases="010")
    assert [kind for kind, _ in pupil.taken] == ["plain"] * 3 + ["regularized"] * 6 + ["plain"] * 3


@pytest.mark.parametrize("step", range(12))
def test_a_run_taken_up_at_any_step_goes_on_from_there(step: int) -> None:
    pupil, scribe = Pupil(), Scribe()
    assert go(pupil, scribe, Position(step, step // STEPS))[0] == Position(12, 4)
    assert [image for _, image in pupil.taken] == list(range(step, 12))
    assert scribe.of("epoch") == [(STEPS * epoch, epoch) for epoch in range(step // STEPS + 1, 5)]


def test_a_run_stopped_after_an_epochs_last_step_still_has_its_look() -> None:
    scribe = Scribe()
    go(Pupil(), scribe, Position(STEPS, 0), epochs=1)
    assert scribe.heard == [("epoch", 3, 1), ("checkpoint", 1, 0.0)]


def test_a_listener_stops_it_at_a_step_boundary() -> None:
    pupil, scribe = Pupil(), Scribe(stop_at=5)
    with pytest.raises(InterruptedError):
        go(pupil, scribe)
    assert len(pupil.taken) == 5
    assert scribe.of("epoch") == [(3, 1)]


def test_a_loss_that_is_no_number_stops_it_and_is_named() -> None:
    scribe = Scribe()
    with pytest.raises(LossNotFiniteError, match="step 4 ") as stop:
        go(Pupil(fails_at=4), scribe)
    assert stop.value.step == 4
    assert scribe.of("epoch") == [(3, 1)]
    assert scribe.of("checkpoint") == [(1, 3.0)]


def falling(*losses: float) -> LossTarget:
    left = iter(losses)

    def score_below(ceiling: float) -> Score | None:
        loss = next(left)
        return Score(loss, 1.0) if loss <= ceiling else None

    return LossTarget(0.1, score_below)


def test_it_stops_at_its_target_with_a_checkpoint() -> None:
    scribe = Scribe()
    end, reached = go(Pupil(), scribe, target=falling(2.0, 0.2, 0.05), epochs=9, checkpoint_every=4, eval_every=5)
    assert (end, reached) == (Position(9, 3), True)
    assert scribe.heard[-3:] == [("epoch", 9, 3), ("checkpoint", 3, 9.0), ("milestone", 3, 0.1)]
    assert scribe.of("milestone") == [(2, 1.0), (2, 0.3), (3, 0.1)]
    assert ["clean_train/loss" in values for values in scribe.values] == [False, True, True]
    assert ["test/loss" in values for values in scribe.values] == [False, False, True]  # the minimum itself is scored


def test_a_target_that_is_missed_is_said_to_be() -> None:
    assert go(Pupil(), Scribe(), target=falling(2.0, 0.5, 0.4, 0.11)) == (Position(12, 4), False)


def test_a_run_killed_before_its_milestones_were_kept_keeps_them_when_taken_up() -> None:
    scribe = Scribe()
    end, reached = go(Pupil(), scribe, Position(6, 2), target=falling(0.05))
    assert (end, reached) == (Position(6, 2), True)
    assert scribe.heard == [("milestone", 2, 1.0), ("milestone", 2, 0.3), ("milestone", 2, 0.1)]
