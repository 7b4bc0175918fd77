"""The training loop: it takes the steps of each epoch, then evaluates, logs and checkpoints.

It knows nothing of files or screens; a `Callback` is called as it progresses.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Protocol

from infomcr_cli.errors import AdvisedError
from infomcr_cli.models.score import Score
from infomcr_cli.training.patience import Patience
from infomcr_cli.training.schedule import Schedule
from infomcr_cli.training.state import TrainingState
from infomcr_cli.training.stop_at_loss import LossTarget

STEPS_BETWEEN_CHECKS = 50  # of the loss: reading it from the device in each step would stall a GPU


@dataclass(frozen=True)
class Position:
    """How far training has come: steps taken and whole epochs done."""

    step: int = 0
    epoch: int = 0


class LossNotFiniteError(AdvisedError):
    """The loss was NaN or infinite; the last checkpoint is from before."""

    advice = "A smaller optimizer.learning_rate may help."  # the same steps would lead there again

    def __init__(self, step: int) -> None:
        super().__init__(f"the loss of step {step} is not a finite number")
        self.step = step


class WeightsNotFiniteError(AdvisedError):
    """A step made the weights NaN or infinite although its loss was finite; the last checkpoint is from before."""

    advice = LossNotFiniteError.advice

    def __init__(self, step: int) -> None:
        super().__init__(f"the weights after step {step} are not finite numbers")
        self.step = step


class Callback(Protocol):
    """What the loop calls as it progresses. A callback may raise to stop training at a step boundary."""

    def on_step(self, position: Position, means: Callable[[], dict[str, float]]) -> None:
        """Handle the end of a step; `means` gives the running means of its epoch."""

    def on_epoch(self, position: Position, values: dict[str, float], timing: dict[str, float]) -> None:
        """Handle the end of an epoch; `values` are its metrics, `timing` holds what depends on the clock."""

    def on_milestone(self, position: Position, level: float) -> None:
        """Handle the first time that the clean training loss has fallen to `level`."""

    def on_checkpoint(self, position: Position, train_loss: float) -> None:
        """Handle a checkpoint that is due."""

    def on_epoch_saved(self, position: Position) -> None:
        """All of the epoch is logged and saved, and the running means are those of the next one."""


@dataclass(frozen=True)
class TrainingInputs:
    """Where the loop gets its batches and its scores.

    Args:
        batches:     from a position on, the batches of all epochs to come.
        batch_size:  images in each of them, over all devices.
        evaluations: name of a split → function that scores the network on it.
        target:      a training loss to stop at; None: train to the end of the schedule.
        early_epoch: a checkpoint is due after so many epochs too; None: only when the schedule says so.
        patience:    stops if the loss of the evaluation `validation` does not fall; None: never.
    """

    batches: Callable[[Position], Iterable[Any]]
    batch_size: int
    evaluations: Mapping[str, Callable[[], Score]]
    target: LossTarget | None = None
    early_epoch: int | None = None
    patience: Patience | None = None

    @property
    def target_is_reached(self) -> bool:
        """Whether there is a target loss and it is reached."""
        return self.target is not None and self.target.is_reached

    @property
    def is_over(self) -> bool:
        """Whether training stops before the end of its schedule."""
        return self.target_is_reached or (self.patience is not None and self.patience.is_over)


def run_epochs(
    state: TrainingState, schedule: Schedule, inputs: TrainingInputs, callback: Callback, start: Position
) -> tuple[Position, bool]:
    """Train from `start` to the end of the schedule, to the target loss, or until the validation loss stops falling.

    Returns:
        where training ended, and whether the target loss was reached (False if none is set).

    Raises:
        LossNotFiniteError: the loss was NaN or infinite; no checkpoint holds what came of it.
        WeightsNotFiniteError: the last step of an epoch made the weights so.
    """
    position, batches = start, iter(inputs.batches(start))
    if start.epoch and start.step == start.epoch * schedule.steps_per_epoch:
        state.reset_means()  # checkpoints of pruned runs had the means of their last epoch, up to version 0.1
        if inputs.target:
            # The run was killed right after an epoch, maybe before all milestones of the epoch were saved.
            _save_milestones(inputs.target.evaluate()[1], callback, start)
    while position.epoch < schedule.config.epochs and not inputs.is_over:
        position = _run_epoch(state, schedule, inputs, batches, callback, position)
    return position, inputs.target_is_reached


def _run_epoch(
    state: TrainingState,
    schedule: Schedule,
    inputs: TrainingInputs,
    batches: Iterator[Any],
    callback: Callback,
    position: Position,
) -> Position:
    began, first = time.time(), position.step
    left = (position.epoch + 1) * schedule.steps_per_epoch - first  # a resumed run may begin in the middle of an epoch
    for images, labels in islice(batches, left):
        step = state.regularized_step if schedule.is_regularized(position.step) else state.plain_step
        step(images, labels)
        position = replace(position, step=position.step + 1)
        if position.step % STEPS_BETWEEN_CHECKS == 0:
            _check_finite(state)
        callback.on_step(position, state.means)
    _check_finite(state)
    if not state.has_finite_weights():  # the loss of a step is that before it
        raise WeightsNotFiniteError(position.step)
    trained = time.time()
    position = replace(position, epoch=position.epoch + 1)
    values, milestones = _evaluate(state, schedule, inputs, position)
    evaluated = time.time()
    timing = {
        "time": evaluated,
        "train_seconds": trained - began,
        "eval_seconds": evaluated - trained,
        "images_per_second": (position.step - first) * inputs.batch_size / max(trained - began, 1e-9),
    }
    callback.on_epoch(position, values, timing)
    state.reset_means()
    due = schedule.is_due(schedule.config.checkpoint_every, position.epoch) or position.epoch == inputs.early_epoch
    if inputs.is_over or due:
        callback.on_checkpoint(position, values["train/loss"])
    _save_milestones(milestones, callback, position)
    callback.on_epoch_saved(position)
    return position


def _check_finite(state: TrainingState) -> None:
    step = int(state.failed_at.numpy())
    if step >= 0:
        raise LossNotFiniteError(step)


def _evaluate(
    state: TrainingState, schedule: Schedule, inputs: TrainingInputs, position: Position
) -> tuple[dict[str, float], tuple[float, ...]]:
    """Return the epoch's values, with the scores that are due, and the milestones that it reached."""
    values = {f"train/{name}": mean for name, mean in state.means().items()}
    values["learning_rate"] = state.learning_rate()
    # After every epoch: how often the splits are evaluated must not change where a run stops.
    clean, milestones = inputs.target.evaluate() if inputs.target else (None, ())
    scores: dict[str, Score] = {}
    if inputs.patience:
        scores["validation"] = inputs.evaluations["validation"]()
        inputs.patience.note(position.epoch, scores["validation"].loss)
    if inputs.is_over or schedule.is_due(schedule.config.eval_every, position.epoch):
        scores |= {split: evaluate() for split, evaluate in inputs.evaluations.items() if split not in scores}
    if clean:
        scores["clean_train"] = clean
    for split, score in scores.items():
        values |= {f"{split}/loss": score.loss, f"{split}/accuracy": score.accuracy}
    return values, milestones


def _save_milestones(levels: Iterable[float], callback: Callback, position: Position) -> None:
    for level in levels:
        callback.on_milestone(position, level)
