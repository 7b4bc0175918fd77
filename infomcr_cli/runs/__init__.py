"""The truth about runs: their directories, states, metrics and checkpoints, and their mirror in MLflow."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from infomcr_cli.runs.checkpoint import (
        Checkpoint,
        CheckpointInfo,
        CorruptCheckpointError,
        epoch_name,
        has_checkpoint,
        kept_milestones,
        list_checkpoints,
        load_checkpoint,
        load_weights,
        milestone_name,
        save_checkpoint,
        step_name,
    )
    from infomcr_cli.runs.directory import RunDirectory, is_run, new_run_name
    from infomcr_cli.runs.environment import Environment, describe_environment, write_environment
    from infomcr_cli.runs.lock import lock_run
    from infomcr_cli.runs.metrics import MetricsLine, MetricsLog
    from infomcr_cli.runs.status import State, Status, finished, new_status, read_status, resumed, write_status

__all__ = [
    "Checkpoint",
    "CheckpointInfo",
    "CorruptCheckpointError",
    "Environment",
    "MetricsLine",
    "MetricsLog",
    "RunDirectory",
    "State",
    "Status",
    "describe_environment",
    "epoch_name",
    "finished",
    "has_checkpoint",
    "lock_run",
    "is_run",
    "kept_milestones",
    "list_checkpoints",
    "load_checkpoint",
    "load_weights",
    "milestone_name",
    "new_run_name",
    "new_status",
    "read_status",
    "resumed",
    "save_checkpoint",
    "step_name",
    "write_environment",
    "write_status",
]


_PLACES = ("directory", "status", "lock", "metrics", "environment", "checkpoint")


def __getattr__(name: str) -> Any:
    """Import a room's corner only when something of it is asked for: `infomcr --help` needs none."""
    if name not in __all__:
        raise AttributeError(name)
    for place in _PLACES:
        module = import_module(f"{__name__}.{place}")
        if hasattr(module, name):
            return getattr(module, name)
    raise AttributeError(name)
