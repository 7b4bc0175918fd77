"""The loop: steps in epochs, and after each epoch a look, a line and a checkpoint.

It knows nothing of files or screens; whoever runs it hears of its progress through `Listener`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Protocol

from infomcr_cli.models.score import Score
from infomcr_cli.training.schedule import Timetable
from infomcr_cli.training.trainee import Trainee

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


class Listener(Protocol):
    """What a loop tells of itself. A listener may raise to stop it at a step boundary."""

    def on_step(self, position: Position, means: Callable[[], dict[str, float]]) -> None: ...

    def on_epoch(self, position: Position, values: dict[str, float], timing: dict[str, float]) -> None: ...

    def on_checkpoint(self, position: Position, train_loss: float) -> None: ...


@dataclass(frozen=True)
class Feed:
    """Where the loop gets its batches and its scores.

    Args:
        batches:     from a position on, the batches of all epochs to come.
        test:        score on the test split.
        clean_train: score on the training split without augmentation.
    """

    batches: Callable[[Position], Iterable[Any]]
    test: Callable[[], Score]
    clean_train: Callable[[], Score]


def run(
    trainee: Trainee, timetable: Timetable, feed: Feed, listener: Listener, start: Position, batch_size: int
) -> tuple[Position, bool]:
    """Train from `start` to the end of the schedule, or to its target.

    Returns: where it ended, and whether the target training loss was reached (False where none is set).
    Raises:  LossNotFiniteError: the loss was no finite number; nothing was kept of it.
    """
    position, reached, stream = start, False, iter(feed.batches(start))
    while position.epoch < timetable.config.epochs and not reached:
        position, reached = _epoch(trainee, timetable, feed, stream, listener, position, batch_size)
    return position, reached


def _epoch(
    trainee: Trainee,
    timetable: Timetable,
    feed: Feed,
    stream: Iterator[Any],
    listener: Listener,
    position: Position,
    batch_size: int,
) -> tuple[Position, bool]:
    began, first = time.time(), position.step
    position = _steps(trainee, timetable, stream, listener, position)
    trained = time.time()
    _check_finite(trainee)
    position = replace(position, epoch=position.epoch + 1)
    values, reached = _look(trainee, timetable, feed, position)
    images = (position.step - first) * batch_size
    timing = {
        "time": time.time(),
        "train_seconds": trained - began,
        "look_seconds": time.time() - trained,
        "images_per_second": images / max(trained - began, 1e-9),
    }
    listener.on_epoch(position, values, timing)
    trainee.reset_means()
    if reached or timetable.is_due(timetable.config.checkpoint_every, position.epoch):
        listener.on_checkpoint(position, values["train/loss"])
    return position, reached


def _steps(
    trainee: Trainee, timetable: Timetable, stream: Iterator[Any], listener: Listener, position: Position
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


def _look(trainee: Trainee, timetable: Timetable, feed: Feed, position: Position) -> tuple[dict[str, float], bool]:
    """Return the epoch's values, with the scores that are due, and whether the target is reached."""
    values = {f"train/{name}": mean for name, mean in trainee.means().items()}
    values["learning_rate"] = float(trainee.optimizer.learning_rate)
    target, reached = timetable.config.stop_at_train_loss, False
    if timetable.is_due(timetable.config.eval_every, position.epoch):
        score = feed.test()
        values |= {"test/loss": score.loss, "test/accuracy": score.accuracy}
        if target is not None:
            clean = feed.clean_train()
            values |= {"clean_train/loss": clean.loss, "clean_train/accuracy": clean.accuracy}
            reached = clean.loss <= target
    return values, reached


def _check_finite(trainee: Trainee) -> None:
    step = int(trainee.failed_at.numpy())
    if step >= 0:
        raise LossNotFiniteError(step)
