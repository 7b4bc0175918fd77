"""One step, the regularizers, the schedule and the loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from infomcr_cli.training.regularizers.local_minimum import LocalMinimum, local_minimum_penalty
    from infomcr_cli.training.step import train_step

__all__ = ["LocalMinimum", "local_minimum_penalty", "train_step"]


def __getattr__(name: str) -> Any:
    """Import TensorFlow only when something of this room is asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from infomcr_cli.training import step
    from infomcr_cli.training.regularizers import local_minimum

    return getattr(step if name == "train_step" else local_minimum, name)
