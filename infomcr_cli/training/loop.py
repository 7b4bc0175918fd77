"""The loop: steps in epochs, and after each epoch a look, a line and a checkpoint.

It knows nothing of files or screens; whoever runs it hears of its progress through `Callback`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Protocol

from infomcr_cli.models.score import Score
from infomcr_cli.training.schedule import Schedule
from infomcr_cli.training.state import TrainingState
from infomcr_cli.training.stop_at_loss import Target

STEPS_BETWEEN_CHECKS = 50


@dataclass(frozen=True)
class Position:
    """How far training has come: steps taken and whole epochs done."""

    step: int = 0
    epoch: int = 0


class LossNotFiniteError(RuntimeError):
    """The loss was NaN or infinite; the last checkpoint is from before."""

    def __init__(self, step: int) -> None:
        super().__init__(f"the loss of step {step} is not a finite number")
        self.step = step


class Callback(Protocol):
    """What a loop tells of itself. A listener may raise to stop it at a step boundary."""

    def on_step(self, position: Position, means: Callable[[], dict[str, float]]) -> None: ...

    def on_epoch(self, position: Position, values: dict[str, float], timing: dict[str, float]) -> None: ...

    def on_milestone(self, position: Position, level: float) -> None: ...

    def on_checkpoint(self, position: Position, train_loss: float) -> None: ...


@dataclass(frozen=True)
class TrainingInputs:
    """Where the loop gets its batches and its scores.

    Args:
        batches:    from a position on, the batches of all epochs to come.
        batch_size: images in each of them, over all devices.
        looks:      name of a split → its score.
        target:     a training loss to stop at; None: the schedule goes to its end.
    """

    batches: Callable[[Position], Iterable[Any]]
    batch_size: int
    looks: Mapping[str, Callable[[], Score]]
    target: Target | None = None


def run(
    trainee: TrainingState, timetable: Schedule, feed: TrainingInputs, listener: Callback, start: Position
) -> tuple[Position, bool]:
    """Train from `start` to the end of the schedule, or to its target.

    Returns:
        where it ended, and whether the target training loss was reached (False where none is set).

    Raises:
        LossNotFiniteError: the loss was no finite number; nothing was kept of it.
    """
    position, stream = start, iter(feed.batches(start))
    _look_again(feed, timetable, listener, start)
    while position.epoch < timetable.config.epochs and not _is_reached(feed):
        position = _epoch(trainee, timetable, feed, stream, listener, position)
    return position, _is_reached(feed)


def _is_reached(feed: TrainingInputs) -> bool:
    return feed.target is not None and feed.target.is_reached


def _epoch(
    trainee: TrainingState,
    timetable: Schedule,
    feed: TrainingInputs,
    stream: Iterator[Any],
    listener: Callback,
    position: Position,
) -> Position:
    began, first = time.time(), position.step
    position = _steps(trainee, timetable, stream, listener, position)
    _check_finite(trainee)
    trained = time.time()
    position = replace(position, epoch=position.epoch + 1)
    values, milestones = _look(trainee, timetable, feed, position)
    timing = _timing(began, trained, (position.step - first) * feed.batch_size)
    listener.on_epoch(position, values, timing)
    trainee.reset_means()
    if _is_reached(feed) or timetable.is_due(timetable.config.checkpoint_every, position.epoch):
        listener.on_checkpoint(position, values["train/loss"])
    _keep(milestones, listener, position)
    return position


def _keep(milestones: Iterable[float], listener: Callback, position: Position) -> None:
    for level in milestones:
        listener.on_milestone(position, level)


def _look_again(feed: TrainingInputs, timetable: Schedule, listener: Callback, position: Position) -> None:
    """Pass the milestones of an epoch that a run was killed after, before all of them were kept."""
    if feed.target and position.epoch and position.step == position.epoch * timetable.steps_per_epoch:
        _keep(feed.target.look()[1], listener, position)


def _timing(began: float, trained: float, images: int) -> dict[str, float]:
    now = time.time()
    return {
        "time": now,
        "train_seconds": trained - began,
        "look_seconds": now - trained,
        "images_per_second": images / max(trained - began, 1e-9),
    }


def _steps(
    trainee: TrainingState, timetable: Schedule, stream: Iterator[Any], listener: Callback, position: Position
) -> Position:
    left = (position.epoch + 1) * timetable.steps_per_epoch - position.step
    for batch in islice(stream, left):
        step = trainee.regularized_step if timetable.regularized(position.step) else trainee.plain_step
        step(*batch)
        position = replace(position, step=position.step + 1)
        if position.step % STEPS_BETWEEN_CHECKS == 0:
            _check_finite(trainee)
        listener.on_step(position, trainee.means)
    return position


def _look(
    trainee: TrainingState, timetable: Schedule, feed: TrainingInputs, position: Position
) -> tuple[dict[str, float], tuple[float, ...]]:
    """Return the epoch's values, with the scores that are due, and the milestones that were passed."""
    values = {f"train/{name}": mean for name, mean in trainee.means().items()}
    values["learning_rate"] = trainee.learning_rate()
    # After every epoch: where a run stops must not depend on how often it is evaluated.
    clean, milestones = feed.target.look() if feed.target else (None, ())
    if _is_reached(feed) or timetable.is_due(timetable.config.eval_every, position.epoch):
        for split, look in feed.looks.items():
            values |= _named(split, look())
    return (values | _named("clean_train", clean) if clean else values), milestones


def _named(split: str, score: Score) -> dict[str, float]:
    return {f"{split}/loss": score.loss, f"{split}/accuracy": score.accuracy}


def _check_finite(trainee: TrainingState) -> None:
    step = int(trainee.failed_at.numpy())
    if step >= 0:
        raise LossNotFiniteError(step)
