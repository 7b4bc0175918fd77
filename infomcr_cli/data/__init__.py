"""Sources become arrays; arrays become batches. Only `pipeline` needs TensorFlow, and imports it late."""

from __future__ import annotations

from typing import Any

from infomcr_cli.data.dataset import Dataset, Split
from infomcr_cli.data.sizes import read_training_set_sizes, training_set_size
from infomcr_cli.data.sources import check_source, load_dataset

__all__ = [
    "Dataset",
    "Split",
    "check_source",
    "evaluation_batches",
    "load_dataset",
    "named_failures",
    "read_training_set_sizes",
    "steps_per_epoch",
    "training_batches",
    "training_set_size",
    "training_stream",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from infomcr_cli.data import pipeline

        return getattr(pipeline, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
