"""One step, the regularizers, the schedule and the loop."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from infomcr_cli.training.regularizers.local_minimum import LocalMinimum as LocalMinimum
    from infomcr_cli.training.regularizers.local_minimum import local_minimum_penalty as local_minimum_penalty
    from infomcr_cli.training.step import train_step as train_step

# TensorFlow is imported on first use only.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "regularizers.local_minimum": ["LocalMinimum", "local_minimum_penalty"],
        "step": ["train_step"],
    },
)
