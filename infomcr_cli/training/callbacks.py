"""Write a run directory while the run trains: metrics, checkpoints and status; then MLflow and the console."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil

from infomcr_cli.config.schema.run import RunConfig
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
from infomcr_cli.runs.metrics import MetricsLine
from infomcr_cli.signals import Interruption, Pruned
from infomcr_cli.tracking.background import Mirror
from infomcr_cli.training.event_file import EventFile
from infomcr_cli.training.loop import Position
from infomcr_cli.training.setup import Setup


@dataclass
class RunCallback:
    """The callback that writes the run directory; MLflow and the console follow it.

    Args:
        mirror:   of the run in MLflow; None: there is none.
        events:   TensorBoard's event file, which gets each line of metrics; None: there is none.
        position: where training begins, and then how far it has come.
        began:    when the work on the run began, seconds since 1970; None: with this process.
        ends:     says after each epoch, from its number and values, why training ends there; None: it continues.
    """

    run: ActiveRun
    config: RunConfig
    setup: Setup
    progress: TrainingProgress
    interruption: Interruption
    mirror: Mirror | None
    events: EventFile | None
    position: Position
    began: float | None = None
    ends: Callable[[int, dict[str, float]], str | None] | None = None
    _timing: dict[str, float] = field(default_factory=dict)
    _pruned: str | None = None
    _saved: Position | None = None

    def on_step(self, position: Position, means: Callable[[], dict[str, float]]) -> None:
        """Show progress, and stop here if a signal was received."""
        self.position = position
        if not self._timing:
            self._note_first_step()
        self.progress.step(position.step, position.epoch, means)
        self.interruption.check()

    def on_epoch(self, position: Position, values: dict[str, float], timing: dict[str, float]) -> None:
        """Write the epoch's line of metrics, before its checkpoint: no checkpoint is ahead of the metrics."""
        self.position = position
        timing = timing | self._timing
        MetricsLog(self.run.directory).append(position.step, position.epoch, values, timing)
        if self.events:
            self.events.add(MetricsLine(position.step, position.epoch, values, timing))
        self.run.update(step=position.step, epoch=position.epoch)
        self.progress.epoch(position.epoch, values, timing)
        if self.mirror:
            self.mirror.notify()
        self._pruned = self.ends(position.epoch, values) if self.ends else None

    def on_milestone(self, position: Position, level: float) -> None:
        """Save the first state whose clean training loss is at most `level`; it is kept, however old."""
        self._save(milestone_name(level), None)

    def on_checkpoint(self, position: Position, train_loss: float) -> None:
        """Save the state at the end of an epoch."""
        self._save(epoch_name(position.epoch), train_loss)

    def on_epoch_saved(self, position: Position) -> None:
        """Stop here if the run is to be pruned: a run that is trained on all the same lacks nothing."""
        if self._pruned:
            self.run.update(pruned_at=position.epoch)
            raise Pruned(self._pruned)

    def save_between_epochs(self) -> None:
        """Save the state at a step boundary, to resume from there; not after a loss or weights that are not finite."""
        state = self.setup.state
        if self._saved != self.position and int(state.failed_at.numpy()) < 0 and state.has_finite_weights():
            self._save(step_name(self.position.step), None)

    def _note_first_step(self) -> None:
        """Note the time to the first step, and start the mirror: MLflow is imported only now, to be out of its way."""
        began = psutil.Process().create_time() if self.began is None else self.began
        self._timing = {"seconds_to_first_step": time.time() - began}
        if not self.run.status.step:  # bad input that shows later, as a broken image, fails a run that has begun
            self.run.update(step=self.position.step, epoch=self.position.epoch)
        if self.mirror:
            self.mirror.notify()

    def _save(self, name: str, train_loss: float | None) -> None:
        state, patience = self.setup.state, self.setup.inputs.patience
        checkpoint = Checkpoint(
            step=self.position.step,
            epoch=self.position.epoch,
            weights=state.weights(),
            optimizer=state.optimizer_state(),
            extra={"data": self.setup.dataset.fingerprint} | ({"patience": patience.to_record()} if patience else {}),
            train_loss=train_loss,
        )
        # The one after `early_epochs` is kept besides, for measures of the early training.
        keep, early = self.config.schedule.keep_checkpoints, epoch_name(self.config.measure.early_epochs)
        save_checkpoint(self.run.directory, name, checkpoint, keep=keep, besides=early)
        self._saved = self.position
