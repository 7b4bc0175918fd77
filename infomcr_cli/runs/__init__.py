"""The truth about runs: their directories, states, metrics and checkpoints."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from infomcr_cli.runs.checkpoint import Checkpoint as Checkpoint
    from infomcr_cli.runs.checkpoint import CheckpointInfo as CheckpointInfo
    from infomcr_cli.runs.checkpoint import CorruptCheckpointError as CorruptCheckpointError
    from infomcr_cli.runs.checkpoint import epoch_name as epoch_name
    from infomcr_cli.runs.checkpoint import has_checkpoint as has_checkpoint
    from infomcr_cli.runs.checkpoint import kept_milestones as kept_milestones
    from infomcr_cli.runs.checkpoint import list_checkpoints as list_checkpoints
    from infomcr_cli.runs.checkpoint import load_checkpoint as load_checkpoint
    from infomcr_cli.runs.checkpoint import load_weights as load_weights
    from infomcr_cli.runs.checkpoint import milestone_name as milestone_name
    from infomcr_cli.runs.checkpoint import save_checkpoint as save_checkpoint
    from infomcr_cli.runs.checkpoint import step_name as step_name
    from infomcr_cli.runs.directory import RunDirectory as RunDirectory
    from infomcr_cli.runs.directory import is_run as is_run
    from infomcr_cli.runs.directory import new_run_name as new_run_name
    from infomcr_cli.runs.environment import Environment as Environment
    from infomcr_cli.runs.environment import recorded_kernels as recorded_kernels
    from infomcr_cli.runs.environment import write_environment as write_environment
    from infomcr_cli.runs.lifecycle import write_status as write_status
    from infomcr_cli.runs.lock import lock_run as lock_run
    from infomcr_cli.runs.metrics import MetricsLine as MetricsLine
    from infomcr_cli.runs.metrics import MetricsLog as MetricsLog
    from infomcr_cli.runs.status import State as State
    from infomcr_cli.runs.status import Status as Status
    from infomcr_cli.runs.status import finished as finished
    from infomcr_cli.runs.status import new_status as new_status
    from infomcr_cli.runs.status import read_status as read_status
    from infomcr_cli.runs.status import resumed as resumed

# `infomcr --help` needs none of them.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "checkpoint": [
            "Checkpoint",
            "CheckpointInfo",
            "CorruptCheckpointError",
            "epoch_name",
            "has_checkpoint",
            "kept_milestones",
            "list_checkpoints",
            "load_checkpoint",
            "load_weights",
            "milestone_name",
            "save_checkpoint",
            "step_name",
        ],
        "directory": ["RunDirectory", "is_run", "new_run_name"],
        "environment": ["Environment", "recorded_kernels", "write_environment"],
        "lock": ["lock_run"],
        "metrics": ["MetricsLine", "MetricsLog"],
        "lifecycle": ["write_status"],
        "status": ["State", "Status", "finished", "new_status", "read_status", "resumed"],
    },
)
