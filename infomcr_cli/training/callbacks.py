"""What a run leaves behind while it trains: lines, checkpoints, its state, its mirror."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil

from infomcr_cli.console.progress import TrainingProgress
from infomcr_cli.runs import (
    Checkpoint,
    MetricsLog,
    epoch_name,
    milestone_name,
    save_checkpoint,
    step_name,
)
from infomcr_cli.runs.lifecycle import ActiveRun
from infomcr_cli.signals import Interruption
from infomcr_cli.tracking.background import Mirror
from infomcr_cli.training.loop import Position
from infomcr_cli.training.state import TrainingState


@dataclass
class RunCallback:
    """The callback that writes the run directory; MLflow and the console follow it.

    Args:
        keep:   how many checkpoints stay; None: all.
        data:   fingerprint of the data set, kept in each checkpoint.
    """

    run: ActiveRun
    trainee: TrainingState
    progress: TrainingProgress
    interruption: Interruption
    mirror: Mirror | None
    keep: int | None
    data: str
    position: Position = field(default_factory=Position)
    _timing: dict[str, float] = field(default_factory=dict)

    def on_step(self, position: Position, means: Callable[[], dict[str, float]]) -> None:
        """Stop here if a signal asks for it."""
        self.position = position
        if not self._timing:
            self._note_first_step()
        self.progress.step(position.step, position.epoch, means)
        self.interruption.check()

    def on_epoch(self, position: Position, values: dict[str, float], timing: dict[str, float]) -> None:
        """Write the epoch's line; a checkpoint that follows is never ahead of it."""
        self.position = position
        MetricsLog(self.run.directory).append(position.step, position.epoch, values, timing | self._timing)
        self._update()
        self.progress.epoch(position.epoch, values, timing)
        if self.mirror:
            self.mirror.notify()

    def on_milestone(self, position: Position, level: float) -> None:
        """Keep the first state whose clean training loss is at most `level`, whatever else is dropped."""
        self._save(milestone_name(level), None)

    def on_checkpoint(self, position: Position, train_loss: float) -> None:
        """Save the state at the end of an epoch."""
        self._save(epoch_name(position.epoch), train_loss)

    def save_between_epochs(self) -> None:
        """Save the state at a step boundary, to go on from there."""
        if int(self.trainee.failed_at.numpy()) < 0:
            self._save(step_name(self.position.step), None)

    def _update(self) -> None:
        self.run.update(step=self.position.step, epoch=self.position.epoch)

    def _note_first_step(self) -> None:
        """Only now may MLflow be imported: until here Python itself was what took time."""
        self._timing = {"seconds_to_first_step": time.time() - psutil.Process().create_time()}
        if not self.run.status.step:  # bad input that shows later, as a broken image, fails a run that has begun
            self._update()
        if self.mirror:
            self.mirror.notify()

    def _save(self, name: str, train_loss: float | None) -> None:
        checkpoint = Checkpoint(
            step=self.position.step,
            epoch=self.position.epoch,
            weights=self.trainee.weights(),
            optimizer=self.trainee.state(),
            extra={"data": self.data},
            train_loss=train_loss,
        )
        save_checkpoint(self.run.directory, name, checkpoint, keep=self.keep)
