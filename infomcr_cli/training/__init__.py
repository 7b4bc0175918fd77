"""One step, the regularizers, the schedule and the loop."""

from infomcr_cli.training.local_minimum import LocalMinimum, local_minimum_penalty
from infomcr_cli.training.step import train_step

__all__ = ["LocalMinimum", "local_minimum_penalty", "train_step"]
