"""Milestones outlive the checkpoints that a run drops."""

from __future__ import annotations

import numpy as np
import pytest

from infomcr_cli.runs import (
    Checkpoint,
    RunDirectory,
    epoch_name,
    kept_milestones,
    list_checkpoints,
    load_weights,
    milestone_name,
    save_checkpoint,
)


def save(run: RunDirectory, name: str, epoch: int, train_loss: float | None) -> None:
    weights = {"w": np.full(2, float(epoch), np.float32)}
    save_checkpoint(run, name, Checkpoint(10 * epoch, epoch, weights, train_loss=train_loss), keep=2)


@pytest.mark.parametrize(
    ("loss", "name"), [(1.0, "loss-1"), (0.3, "loss-0.3"), (0.01, "loss-0.01"), (1e-5, "loss-1e-05")]
)
def test_a_milestone_is_named_after_its_loss(run: RunDirectory, loss: float, name: str) -> None:
    assert milestone_name(loss) == name
    save(run, name, 1, None)
    assert kept_milestones(run, 10) == [loss]


def test_milestones_stay_whatever_is_dropped(run: RunDirectory) -> None:
    for epoch in range(1, 7):
        save(run, epoch_name(epoch), epoch, 7.0 - epoch)
        if epoch in (2, 3):
            save(run, milestone_name(1 / epoch), epoch, None)
    names = [info.name for info in list_checkpoints(run)]
    assert names == ["loss-0.5", "loss-0.333333", "epoch-0005", "epoch-0006"]
    assert load_weights(run, "loss-0.5")["w"][0] == 2.0
    assert load_weights(run, "best")["w"][0] == 6.0
    assert kept_milestones(run, 29) == [0.5]
