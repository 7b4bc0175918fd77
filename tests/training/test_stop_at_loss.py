"""The target loss: its milestones, and an evaluation of no more samples than needed."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from infomcr_cli.models.score import Score
from infomcr_cli.training.stop_at_loss import BoundedScore, LossTarget, milestones


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (0.01, (1.0, 0.3, 0.1, 0.03, 0.01)),
        (0.05, (1.0, 0.3, 0.1, 0.05)),
        (0.3, (1.0, 0.3)),
        (1.0, (1.0,)),
        (2.5, (2.5,)),
    ],
)
def test_milestones_are_1_and_3_times_powers_of_ten(target: float, expected: tuple[float, ...]) -> None:
    assert milestones(target) == expected


class Samples:
    """Samples with given losses, counting how many losses were evaluated one by one, and how often all together."""

    def __init__(self, losses: NDArray[np.float64]) -> None:
        self.losses, self.seen, self.whole = losses, 0, 0

    def score(self) -> Score:
        self.whole += 1
        return Score(float(np.mean(self.losses)), 1.0)

    def at(self, places: NDArray[np.intp]) -> NDArray[np.float64]:
        self.seen += len(places)
        return self.losses[places]

    @property
    def bounded(self) -> BoundedScore:
        return BoundedScore(self.score, self.at, len(self.losses))


@pytest.mark.parametrize("ceiling", [0.0, 0.01, 0.1, 0.499, 0.5, 0.501, 3.0])
@pytest.mark.parametrize("count", [1, 2, 199, 1000])
def test_bounded_score_agrees_with_the_whole_one_whatever_was_seen_before(ceiling: float, count: int) -> None:
    rng = np.random.default_rng(0)
    samples = Samples(np.empty(count))
    bounded = samples.bounded
    for _ in range(5):  # epochs: a sample that was hard may be easy now
        losses = rng.exponential(0.5, count)
        samples.losses = losses * 0.5 / losses.mean()
        whole = samples.score()
        assert bounded.below(ceiling) == (None if whole.loss > ceiling else whole)


def test_bounded_score_sees_only_the_samples_it_needs() -> None:
    samples = Samples(np.full(100_000, 1.0))
    assert samples.bounded.below(0.01) is None
    assert (samples.seen, samples.whole) == (1100, 0)  # at 1,000 losses of 1 the sum is not above 1,000 yet


def test_samples_that_were_hard_come_first() -> None:
    losses = np.zeros(1000)
    losses[700:800] = 10.0
    samples = Samples(losses)
    bounded = samples.bounded
    assert bounded.below(0.5) is None
    assert samples.seen == 800  # those that were not seen yet, in stored order
    assert bounded.below(0.5) is None
    assert samples.seen == 800 + 300  # the last 200, and then the hardest


def test_nan_loss_reaches_no_milestone() -> None:
    score = Samples(np.full(300, np.nan)).bounded.below(0.01)
    target = LossTarget(0.01, lambda ceiling: score)
    assert target.evaluate()[1] == ()
    assert not target.is_reached


def test_milestones_are_reached_once_each_in_order() -> None:
    train_losses = iter([2.0, 0.9, 0.5, 0.05, 0.2, 0.0099, 0.001])
    ceilings = []

    def score_below(ceiling: float) -> Score | None:
        ceilings.append(ceiling)
        loss = next(train_losses)
        return Score(loss, 1.0) if loss <= ceiling else None

    target = LossTarget(0.01, score_below)
    passed = [target.evaluate()[1] for _ in range(6)]
    assert passed == [(), (1.0,), (), (0.3, 0.1), (), (0.03, 0.01)]
    assert ceilings == [1.0, 1.0, 0.3, 0.3, 0.03, 0.03]
    assert target.is_reached
    assert target.evaluate() == (None, ())


def test_resumed_run_skips_milestones_it_has_saved() -> None:
    target = LossTarget(0.1, lambda ceiling: Score(0.25, 1.0) if ceiling >= 0.25 else None)
    target.mark_reached([1.0])
    assert target.evaluate()[1] == (0.3,)
    target.mark_reached([0.1])
    assert target.is_reached
