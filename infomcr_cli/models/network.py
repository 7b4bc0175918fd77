"""A validated run → its network."""

from __future__ import annotations

import keras

from infomcr_cli.config.model_schema import BuilderConfig
from infomcr_cli.config.schema import RunConfig
from infomcr_cli.data import Dataset
from infomcr_cli.models import build_model
from infomcr_cli.models.builder import is_trusted


def network(config: RunConfig, dataset: Dataset) -> keras.Model:
    """Build the untrained network of a run, for the images and classes of its data set.

    Raises: InputError: the images do not fit the network, or its builder was not named by the user.
    """
    settings = config.model.model_dump(exclude={"name"})
    if isinstance(config.model, BuilderConfig):
        settings["trusted"] = is_trusted(config.model.builder)
    return build_model(
        config.model.name,
        input_shape=dataset.input_shape if config.model.name == "builder" else dataset.image_shape,
        num_classes=dataset.num_classes,
        l2=config.optimizer.l2,
        **settings,
    )
