"""A run directory as training leaves it, with the metrics and the early checkpoint that measures read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infomcr_cli.measures.history import RunHistory
from infomcr_cli.runs import Checkpoint, MetricsLog, RunDirectory, epoch_name, new_status, save_checkpoint

LOSSES = (1.5, 0.7, 0.3, 0.09)  # of the epochs, ten steps each
TARGET = 0.1


def recorded_history(
    path: Path, early: Mapping[str, Any] | None = None, *, step: int = 40, target: float | None = TARGET
) -> RunHistory:
    """The history of a run of four epochs up to `step`; `early` are the weights after the first one."""
    run = RunDirectory.create(path, config=b"{}\n", overrides=[], status=new_status("a" * 64))
    for epoch, loss in enumerate(LOSSES, start=1):
        values = {"train/loss": loss, "clean_train/loss": 0.9 * loss}
        MetricsLog(run).append(10 * epoch, epoch, values, {"time": 0.0})
    if early is not None:
        save_checkpoint(run, epoch_name(1), Checkpoint(10, 1, early))
    return RunHistory(run, step, target)
