"""Estimate the time that training still needs: steps and evaluations of later epochs may cost more than these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class TrainingTime:
    """The time left, from what the last epoch took and from what is still to be done.

    Args:
        epochs: of the whole schedule.
        steps:  of the whole schedule.
        done:   steps taken before a run was resumed.
        passes: steps from the beginning → the passes over a batch that they cost; None: one each.
        every:  epochs between two evaluations.
    """

    epochs: int
    steps: int
    done: int = 0
    passes: Callable[[int], float] | None = None
    every: int = 1
    _evaluated: float | None = None  # seconds of an epoch's evaluations when they are due
    _others: float = 0.0  # seconds of evaluations after the other epochs

    def cost(self, step: int) -> float:
        """Return the passes of the first steps."""
        return float(step) if self.passes is None else self.passes(step)

    def left(self, epoch: int, train_seconds: float, eval_seconds: float) -> float:
        """Return the seconds left after an epoch, counted from 1, of which the seconds are given."""
        if epoch % self.every == 0 or epoch == self.epochs:
            self._evaluated = eval_seconds
        else:
            self._others = eval_seconds
        each = self.steps // self.epochs
        first, last = max(self.done, (epoch - 1) * each), epoch * each  # a resumed run takes a part of its first epoch
        per_pass = train_seconds / max(1.0, self.cost(last) - self.cost(first))
        # −(−a // b) is a / b rounded up: the last epoch is evaluated too
        due = -(-self.epochs // self.every) - epoch // self.every if epoch < self.epochs else 0
        evaluated = self._others if self._evaluated is None else self._evaluated
        evaluations = due * evaluated + (self.epochs - epoch - due) * self._others
        return per_pass * (self.cost(self.steps) - self.cost(last)) + evaluations
