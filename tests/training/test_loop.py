"""The training loop with a fake training state and a callback that records its calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from infomcr_cli.config.schema.run import ScheduleConfig
from infomcr_cli.models.score import Score
from infomcr_cli.training.loop import LossNotFiniteError, Position, TrainingInputs, run_epochs
from infomcr_cli.training.schedule import Schedule
from infomcr_cli.training.state import TrainingState
from infomcr_cli.training.stop_at_loss import LossTarget

STEPS = 3
START = Position()


class FakeState:
    """A training state that records its steps and fails at one of them."""

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

    def has_finite_weights(self) -> bool:
        return True

    def reset_means(self) -> None:
        self._resets += 1

    def _failed_at(self) -> int:
        failed = self._fails_at is not None and any(image == self._fails_at for _, image in self.taken)
        return self._fails_at if failed and self._fails_at is not None else -1


class RecordingCallback:
    """A callback that records its calls."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.values: list[dict[str, float]] = []
        self._stop_at = stop_at

    def on_step(self, position: Position, means: Callable[[], dict[str, float]]) -> None:
        self.calls.append(("step", position.step))
        if position.step == self._stop_at:
            raise InterruptedError

    def on_epoch(self, position: Position, values: dict[str, float], timing: dict[str, float]) -> None:
        self.calls.append(("epoch", position.step, position.epoch))
        self.values.append(values)
        assert timing["train_seconds"] >= 0

    def on_milestone(self, position: Position, level: float) -> None:
        self.calls.append(("milestone", position.epoch, level))

    def on_checkpoint(self, position: Position, train_loss: float) -> None:
        self.calls.append(("checkpoint", position.epoch, train_loss))

    def on_epoch_saved(self, position: Position) -> None:
        assert self.calls[-1][0] != "step"

    def of(self, kind: str) -> list[tuple[Any, ...]]:
        return [entry[1:] for entry in self.calls if entry[0] == kind]


def stream(epochs: int) -> Callable[[Position], Iterable[Any]]:
    """Batch number i of all epochs is the number i."""

    def batches(start: Position) -> Iterator[tuple[int, int]]:
        return ((step, step) for step in range(start.step, epochs * STEPS))

    return batches


def train(
    fake: FakeState,
    callback: RecordingCallback,
    start: Position = START,
    *,
    target: LossTarget | None = None,
    phases: str | None = None,
    early_epoch: int | None = None,
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
    inputs = TrainingInputs(stream(config.epochs), 8, evaluations, target, early_epoch)
    return run_epochs(cast(TrainingState, fake), Schedule(config, STEPS, phases), inputs, callback, start)


def test_every_step_is_taken_once_and_callbacks_are_called_in_order() -> None:
    fake, callback = FakeState(), RecordingCallback()
    assert train(fake, callback, epochs=2) == (Position(6, 2), False)
    assert [image for _, image in fake.taken] == list(range(6))
    assert callback.calls == [
        *[("step", 1), ("step", 2), ("step", 3), ("epoch", 3, 1), ("checkpoint", 1, 3.0)],
        *[("step", 4), ("step", 5), ("step", 6), ("epoch", 6, 2), ("checkpoint", 2, 6.0)],
    ]
    assert fake._resets == 2


def test_evaluations_and_checkpoints_follow_their_periods() -> None:
    callback = RecordingCallback()
    train(FakeState(), callback, epochs=5, eval_every=2, checkpoint_every=3)
    assert [epoch for epoch, _ in callback.of("checkpoint")] == [3, 5]
    assert ["test/loss" in values for values in callback.values] == [False, True, False, True, True]
    assert callback.values[1]["validation/accuracy"] == 0.8
    assert callback.values[0] == {"train/loss": 3.0, "learning_rate": 0.5}


def test_phases_choose_plain_or_regularized_step() -> None:
    fake = FakeState()
    train(fake, RecordingCallback(), phases="010")
    assert [kind for kind, _ in fake.taken] == ["plain"] * 3 + ["regularized"] * 6 + ["plain"] * 3


@pytest.mark.parametrize("step", range(12))
def test_run_resumed_at_any_step_continues_from_there(step: int) -> None:
    fake, callback = FakeState(), RecordingCallback()
    assert train(fake, callback, Position(step, step // STEPS))[0] == Position(12, 4)
    assert [image for _, image in fake.taken] == list(range(step, 12))
    assert callback.of("epoch") == [(STEPS * epoch, epoch) for epoch in range(step // STEPS + 1, 5)]


def test_run_stopped_after_the_last_step_of_an_epoch_is_still_evaluated() -> None:
    callback = RecordingCallback()
    train(FakeState(), callback, Position(STEPS, 0), epochs=1)
    assert callback.calls == [("epoch", 3, 1), ("checkpoint", 1, 0.0)]


def test_callback_stops_training_at_a_step_boundary() -> None:
    fake, callback = FakeState(), RecordingCallback(stop_at=5)
    with pytest.raises(InterruptedError):
        train(fake, callback)
    assert len(fake.taken) == 5
    assert callback.of("epoch") == [(3, 1)]


def test_nan_loss_stops_training_and_reports_the_step() -> None:
    callback = RecordingCallback()
    with pytest.raises(LossNotFiniteError, match="step 4 ") as stop:
        train(FakeState(fails_at=4), callback)
    assert stop.value.step == 4
    assert callback.of("epoch") == [(3, 1)]
    assert callback.of("checkpoint") == [(1, 3.0)]


def target_with_losses(*losses: float) -> LossTarget:
    left = iter(losses)

    def score_below(ceiling: float) -> Score | None:
        loss = next(left)
        return Score(loss, 1.0) if loss <= ceiling else None

    return LossTarget(0.1, score_below)


def test_training_stops_at_the_target_loss_with_a_checkpoint() -> None:
    callback = RecordingCallback()
    end, reached = train(
        FakeState(), callback, target=target_with_losses(2.0, 0.2, 0.05), epochs=9, checkpoint_every=4, eval_every=5
    )
    assert (end, reached) == (Position(9, 3), True)
    assert callback.calls[-3:] == [("epoch", 9, 3), ("checkpoint", 3, 9.0), ("milestone", 3, 0.1)]
    assert callback.of("milestone") == [(2, 1.0), (2, 0.3), (3, 0.1)]
    assert ["clean_train/loss" in values for values in callback.values] == [False, True, True]
    assert ["test/loss" in values for values in callback.values] == [
        False,
        False,
        True,
    ]  # the last epoch is always evaluated


def test_missed_target_is_reported() -> None:
    assert train(FakeState(), RecordingCallback(), target=target_with_losses(2.0, 0.5, 0.4, 0.11)) == (
        Position(12, 4),
        False,
    )


def test_resumed_run_saves_the_milestones_of_the_epoch_it_was_killed_after() -> None:
    callback = RecordingCallback()
    end, reached = train(FakeState(), callback, Position(6, 2), target=target_with_losses(0.05))
    assert (end, reached) == (Position(6, 2), True)
    assert callback.calls == [("milestone", 2, 1.0), ("milestone", 2, 0.3), ("milestone", 2, 0.1)]


def test_early_checkpoint_is_due_besides_those_of_the_schedule() -> None:
    callback = RecordingCallback()
    train(FakeState(), callback, epochs=5, checkpoint_every=3, early_epoch=2)
    assert [epoch for epoch, _ in callback.of("checkpoint")] == [2, 3, 5]
