"""A training loss to stop at, so that minima are comparable, and the milestones on the way to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from infomcr_cli.models.score import Score

ScoreBelow = Callable[[float], Score | None]


def milestones(target: float) -> tuple[float, ...]:
    """Return the losses at which a checkpoint is kept: 1, 0.3, 0.1, 0.03, ... above `target`, and `target` itself.

    They do not depend on the target, so that runs with different targets share them.

    Example: milestones(0.05) is (1.0, 0.3, 0.1, 0.05).
    """
    decades = range(max(0, math.ceil(-math.log10(target))) + 1)
    steps = (float(f"{digit}e-{decade}") for decade in decades for digit in (10, 3))
    return (*(level for level in steps if target < level <= 1), target)


@dataclass
class Target:
    """Looks at the clean training loss after each epoch, no further than it can matter.

    Losses are not negative: as soon as their sum over a part of the images exceeds that of the next milestone, the
    milestone is out of reach and the look is over. At a loss of 1 and a milestone of 0.01 a hundredth of the images
    is seen.

    Args:
        loss:        mean cross-entropy to stop at, nats.
        score_below: ceiling → the score on the clean training images; None where the loss is above the ceiling.
    """

    loss: float
    score_below: ScoreBelow
    _ahead: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self._ahead = list(milestones(self.loss))

    @property
    def is_reached(self) -> bool:
        """Whether the last milestone, the target, is passed."""
        return not self._ahead

    def mark_reached(self, levels: Iterable[float]) -> None:
        """Forget milestones that were passed before a run was resumed."""
        passed = set(levels)
        self._ahead = [level for level in self._ahead if level not in passed]

    def look(self) -> tuple[Score | None, tuple[float, ...]]:
        """Return the score where it is known, and the milestones passed now."""
        score = self.score_below(self._ahead[0]) if self._ahead else None
        passed = tuple(level for level in self._ahead if score is not None and score.loss <= level)
        self.mark_reached(passed)
        return score, passed
