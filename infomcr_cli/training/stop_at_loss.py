"""Stop at a training loss, so that minima are comparable, and keep checkpoints at milestones on the way to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.models.score import Score

ScoreBelow = Callable[[float], Score | None]
PART = 100  # samples that are evaluated between two looks at the bound
CERTAIN = 1 + 1e-4  # a sum in another order, and losses in batches of another size, differ by less than that


def milestones(target: float) -> tuple[float, ...]:
    """Return the losses at which a checkpoint is kept: 1, 0.3, 0.1, 0.03, ... above `target`, and `target` itself.

    They do not depend on the target, so that runs with different targets share them.

    Examples:
        >>> from infomcr_cli.training.stop_at_loss import milestones
        >>> milestones(0.05)
        (1.0, 0.3, 0.1, 0.05)
    """
    decades = range(max(0, math.ceil(-math.log10(target))) + 1)
    steps = (float(f"{digit}e-{decade}") for decade in decades for digit in (10, 3))
    return (*(level for level in steps if target < level <= 1), target)


@dataclass
class BoundedScore:
    """Scores the clean training samples, all of them only if their mean loss may be below a ceiling.

    Losses are not negative: as soon as those of a part of the samples sum up to more than the ceiling allows for all,
    the mean loss is above it. The samples that had the highest losses when they were last seen come first, after those
    that were not seen yet. If the mean loss is not above the ceiling, or barely, all are scored in stored order: the
    score has the same bits whatever was seen before.

    Args:
        score:  of all samples.
        losses: places of samples in stored order [b] → their losses in nats, [b].
        count:  number of samples, n.
    """

    score: Callable[[], Score]
    losses: Callable[[NDArray[np.intp]], NDArray[np.float64]]
    count: int
    _last: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self._last = np.full(self.count, np.inf)  # of each sample, when it was last seen

    def below(self, ceiling: float) -> Score | None:
        """Return the score, or None if the mean loss is above `ceiling`."""
        if self._exceeds(ceiling * self.count):
            return None
        score = self.score()
        return None if score.loss > ceiling else score

    def _exceeds(self, allowed: float) -> bool:
        total, order = 0.0, np.argsort(-self._last, kind="stable")
        for start in range(0, len(order), PART):
            part = order[start : start + PART]
            self._last[part] = self.losses(part)
            total += float(self._last[part].sum())
            if total > allowed * CERTAIN:
                return True
        return False


@dataclass
class LossTarget:
    """Evaluates the clean training loss after each epoch.

    Args:
        loss:        mean cross-entropy to stop at, nats.
        score_below: ceiling → the score on the clean training images; None if the loss is above the ceiling.
    """

    loss: float
    score_below: ScoreBelow
    _remaining: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self._remaining = list(milestones(self.loss))

    @property
    def is_reached(self) -> bool:
        """Whether the last milestone, the target, is reached."""
        return not self._remaining

    def ending(self, epoch: int, epochs: int) -> str:
        """Return how training ended, in a sentence.

        Args:
            epoch:  the last one.
            epochs: of the schedule.
        """
        if self.is_reached:
            return f"Target reached after epoch {epoch} of {epochs}: the clean training loss is at most {self.loss:g}."
        return f"Target missed: after epoch {epoch} of {epochs} the clean training loss is above {self.loss:g}."

    def mark_reached(self, levels: Iterable[float]) -> None:
        """Skip milestones that were reached already, for example before a run was resumed."""
        reached = set(levels)
        self._remaining = [level for level in self._remaining if level not in reached]

    def evaluate(self) -> tuple[Score | None, tuple[float, ...]]:
        """Return the score, None if it is above the next milestone, and the milestones that are reached now."""
        score = self.score_below(self._remaining[0]) if self._remaining else None
        reached = tuple(level for level in self._remaining if score is not None and score.loss <= level)
        self.mark_reached(reached)
        return score, reached
