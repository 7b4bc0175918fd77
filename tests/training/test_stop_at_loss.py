"""The target loss: its milestones, and an evaluation on no more images than needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from infomcr_cli.models.score import Score, Scorer
from infomcr_cli.training.stop_at_loss import LossTarget, milestones


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


def losses_of(images: Any, labels: Any) -> tuple[float, int]:
    return float(np.sum(images)), int(np.sum(labels))


class Batches:
    """Losses of images in batches, counting how many were evaluated."""

    def __init__(self, losses: list[float], size: int) -> None:
        self.losses, self.size, self.seen = losses, size, 0

    def __iter__(self) -> Iterator[tuple[list[float], list[int]]]:
        for start in range(0, len(self.losses), self.size):
            batch = self.losses[start : start + self.size]
            self.seen += len(batch)
            yield batch, [1] * len(batch)


@pytest.mark.parametrize("ceiling", [0.0, 0.01, 0.1, 0.499, 0.5, 0.501, 3.0])
@pytest.mark.parametrize("size", [1, 7, 100])
def test_bounded_evaluation_agrees_with_a_full_one(ceiling: float, size: int) -> None:
    losses = np.random.default_rng(0).exponential(0.5, 100)
    losses *= 0.5 / losses.mean()
    whole = Scorer(losses_of)(Batches(list(losses), size))
    found = Scorer(losses_of).below(ceiling, Batches(list(losses), size), 100)
    assert found is None if whole.loss > ceiling else found == whole


def test_bounded_evaluation_sees_only_the_images_it_needs() -> None:
    batches = Batches([1.0] * 1000, 10)
    assert Scorer(losses_of).below(0.01, batches, 1000) is None
    assert batches.seen == 20


def test_nan_loss_reaches_no_milestone() -> None:
    score = Scorer(losses_of).below(0.01, Batches([float("nan")] * 3, 1), 3)
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
