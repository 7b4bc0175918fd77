"""A validated run → its network."""

from __future__ import annotations

import keras

from infomcr_cli.config.schema import RunConfig
from infomcr_cli.data import Dataset
from infomcr_cli.models import build_model


def network(config: RunConfig, dataset: Dataset) -> keras.Model:
    """Build the untrained network of a run, for the images and classes of its data set."""
    settings = config.model.model_dump(exclude={"name"})
    return build_model(
        config.model.name,
        input_shape=dataset.image_shape,
        num_classes=dataset.num_classes,
        l2=config.optimizer.l2,
        **settings,
    )
