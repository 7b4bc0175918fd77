"""The schedule of a run in steps: its learning rate, and when the regularizer is active."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from infomcr_cli.config.compute import step_at
from infomcr_cli.config.schema.run import ScheduleConfig


@dataclass(frozen=True)
class Schedule:
    """A configured schedule in steps of one data set.

    Args:
        config:          the schedule.
        steps_per_epoch: whole batches in an epoch.
        phases:          three digits, 1 if the regularizer is active in that phase; None: it never is.
    """

    config: ScheduleConfig
    steps_per_epoch: int
    phases: str | None = None

    @property
    def steps(self) -> int:
        """Steps of the whole schedule."""
        return self.config.epochs * self.steps_per_epoch

    @property
    def warmup_steps(self) -> int:
        """Steps in which the learning rate rises from 0."""
        return round(self.config.warmup_epochs * self.steps_per_epoch)

    def at(self, share: float) -> int:
        """Return the step at a share of the schedule, 0..1: boundaries shrink with the schedule."""
        return step_at(share, self.steps)

    def is_regularized(self, step: int) -> bool:
        """Return whether the regularizer is active in step number `step`, counted from 0."""
        if self.phases is None:
            return False
        first, second = (self.at(share) for share in self.config.phases)
        return self.phases[(step >= first) + (step >= second)] == "1"

    def changes(self, rate: float, *, regularized: bool = True) -> dict[int, str]:
        """Return what changes with which step, counted from 0, after the first: learning rate and regularizer.

        Args:
            rate:        the learning rate before the first drop.
            regularized: whether the regularizer adds anything when it is on.
        """
        found: dict[int, list[str]] = {}
        drops = self.config.boundaries if self.config.name != "cosine" and self.config.factor != 1 else ()
        rates = {self.at(share): rate * self.config.factor**number for number, share in enumerate(drops, start=1)}
        if self.warmup_steps:  # drops may come before its end; the rate rises to `rate` all the same
            before = [step for step in rates if step <= self.warmup_steps]
            after = rates[max(before)] if before else rate
            found[self.warmup_steps] = [f"warm-up over, learning rate {after:.3g}"]
        for step, dropped in rates.items():
            if step > self.warmup_steps:
                found.setdefault(step, []).append(f"learning rate {dropped:.3g}")
        for step in {self.at(share) for share in self.config.phases} if regularized else ():
            if step and self.is_regularized(step) != self.is_regularized(step - 1):
                found.setdefault(step, []).append(f"regularizer {'on' if self.is_regularized(step) else 'off'}")
        return {step: ", ".join(texts) for step, texts in found.items() if 0 < step < self.steps}

    def is_due(self, every: int, epoch: int) -> bool:
        """Return whether what is done every so many epochs is due after `epoch`, counted from 1; the last always is."""
        return epoch % every == 0 or epoch == self.config.epochs


def learning_rate(schedule: Schedule, rate: float) -> keras.optimizers.schedules.LearningRateSchedule | float:
    """Return the learning rate over steps, beginning at `rate` after the warm-up."""
    config = schedule.config
    warmup = schedule.warmup_steps
    if config.name == "cosine":
        return keras.optimizers.schedules.CosineDecay(
            0.0 if warmup else rate,
            max(1, schedule.steps - warmup),
            warmup_target=rate if warmup else None,
            warmup_steps=warmup,
        )
    after = _piecewise(schedule, rate)
    return WarmUp(after, rate, warmup) if warmup else after


def _piecewise(schedule: Schedule, rate: float) -> keras.optimizers.schedules.LearningRateSchedule | float:
    # Keras keeps the old rate up to and including a boundary, which is the last step before the drop.
    boundaries = [schedule.at(share) - 1 for share in schedule.config.boundaries]
    if not boundaries:
        return rate
    rates = [rate * schedule.config.factor**drops for drops in range(len(boundaries) + 1)]
    return keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, rates)


class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """A linear rise from 0 to `rate` in `steps`, then another schedule; Keras offers it only for the cosine."""

    def __init__(self, after: keras.optimizers.schedules.LearningRateSchedule | float, rate: float, steps: int) -> None:
        super().__init__()
        self.after, self.rate, self.steps = after, rate, steps

    def __call__(self, step: Any) -> Any:
        """Return the rate of a step, counted from 0."""
        step = keras.ops.cast(step, "float32")
        after = self.after(step) if callable(self.after) else self.after
        return keras.ops.where(step < self.steps, self.rate * step / self.steps, after)
