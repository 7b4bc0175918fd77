"""Load data sources as arrays and iterate over them in batches. Only `pipeline` imports TensorFlow, when used."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from infomcr_cli.data.dataset import Dataset as Dataset
    from infomcr_cli.data.dataset import Split as Split
    from infomcr_cli.data.pipeline import evaluation_batches as evaluation_batches
    from infomcr_cli.data.pipeline import named_failures as named_failures
    from infomcr_cli.data.pipeline import steps_per_epoch as steps_per_epoch
    from infomcr_cli.data.pipeline import training_batches as training_batches
    from infomcr_cli.data.pipeline import training_stream as training_stream
    from infomcr_cli.data.sizes import read_training_set_sizes as read_training_set_sizes
    from infomcr_cli.data.sizes import training_set_size as training_set_size
    from infomcr_cli.data.sources import check_source as check_source
    from infomcr_cli.data.sources import load_dataset as load_dataset

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "dataset": ["Dataset", "Split"],
        "pipeline": [
            "evaluation_batches",
            "named_failures",
            "steps_per_epoch",
            "training_batches",
            "training_stream",
        ],
        "sizes": ["read_training_set_sizes", "training_set_size"],
        "sources": ["check_source", "load_dataset"],
    },
)
