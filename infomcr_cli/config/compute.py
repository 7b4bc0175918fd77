"""The cost of training in forward and backward passes over a batch: one in a plain step, more in a regularized step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from infomcr_cli.config.schema.regularizer import RegConfig
from infomcr_cli.config.schema.run import ScheduleConfig
from infomcr_cli.errors import InputError


def step_at(share: float, steps: int) -> int:
    """Return the step at a share, 0..1, of a schedule of `steps` steps."""
    return round(share * steps)


def passes_until(step: int, steps: int, reg: RegConfig, schedule: ScheduleConfig) -> float:
    """Return the passes of the first `step` steps of a schedule of `steps`: only steps in active phases cost extra.

    Example: 200 epochs of 390 steps with the study's regularizer in its phases 011: 78,000 + 2 · 54,600 = 187,200.
    """
    starts = [step_at(share, steps) for share in schedule.phases]
    return step + (reg.passes - 1) * _active(reg, starts, step)


def mean_passes(reg: RegConfig, schedule: ScheduleConfig) -> float:
    """Return the mean number of passes of a step over the whole schedule."""
    # In shares of the schedule, 0..1, instead of steps.
    return 1 + (reg.passes - 1) * _active(reg, schedule.phases, 1)


def matched(schedule: ScheduleConfig, reg: RegConfig, reference_config: RegConfig) -> ScheduleConfig:
    """Return the schedule, in whole epochs, in which `reg` costs as much as the reference costs in the given epochs.

    Boundaries, phases and the length of a cosine are shares of the schedule and stretch with it; so does the warm-up.

    Raises:
        InputError: less than one epoch would be left.
    """
    own, wanted = mean_passes(reg, schedule), mean_passes(reference_config, schedule)
    epochs = round(schedule.epochs * wanted / own)
    if epochs < 1:
        received = f"schedule.epochs={schedule.epochs} at {wanted:g} passes a step, {own:g} with reg={reg.name}"
        raise InputError("schedule.match_compute must leave at least one epoch", received=received)
    warmup = schedule.warmup_epochs * epochs / schedule.epochs
    return schedule.model_copy(update={"epochs": epochs, "warmup_epochs": warmup})


def _active(reg: RegConfig, starts: Sequence[float], end: float) -> float:
    """Return how much of 0..end lies in active phases; the second and third phase begin at `starts`."""
    phases: str = getattr(reg, "phases", "000")  # reg=off has none
    edges = pairwise((0, *sorted(starts), math.inf))
    return sum(max(0, min(end, last) - first) for on, (first, last) in zip(phases, edges, strict=True) if on == "1")
