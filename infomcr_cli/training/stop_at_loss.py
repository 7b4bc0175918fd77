"""Stop at a training loss, so that minima are comparable, and keep checkpoints at milestones on the way to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from infomcr_cli.models.score import Score

ScoreBelow = Callable[[float], Score | None]


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
class LossTarget:
    """Evaluates the clean training loss after each epoch, on no more images than needed.

    Losses are not negative: as soon as their sum over a part of the images exceeds that of the next milestone, the
    milestone is out of reach and the evaluation stops. At a loss of 1 and a milestone of 0.01 it sees a hundredth of
    the images.

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
