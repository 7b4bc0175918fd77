"""Upload the checkpoints chosen by `tracking.checkpoints` to MLflow, as models for unscaled inputs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from typing import Any

import numpy as np

from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.console.redaction import one_line
from infomcr_cli.data import Dataset
from infomcr_cli.data.inputs import Inputs
from infomcr_cli.errors import InputError
from infomcr_cli.experiment.recorded_settings import measured_run
from infomcr_cli.runs import RunDirectory, list_checkpoints, load_checkpoint
from infomcr_cli.tracking.store import Store


def chosen_checkpoints(run: RunDirectory, chosen: str) -> dict[int, str]:
    """Return the names of the checkpoints to upload by their steps.

    Args:
        chosen: `tracking.checkpoints`: "none", "best", "last" or "all".
    """
    infos = list_checkpoints(run)
    if chosen == "none" or not infos:
        return {}
    if chosen == "all":
        return {info.step: info.name for info in infos}
    step = load_checkpoint(run, "best").step if chosen == "best" else infos[-1].step
    return {info.step: info.name for info in infos if info.step == step}


def upload_checkpoints(run: RunDirectory, config: RunConfig, store: Store | None) -> str | None:
    """Upload the chosen checkpoints that MLflow does not have yet; return a problem, or None.

    A failure here ends nothing else: the run directory holds the weights, and `infomcr sync` tries again.
    """
    if store is None or config.tracking.checkpoints == "none":
        return None
    try:
        _upload(run, config, store)
    except Exception as error:  # whatever MLflow or the network's own code raises
        return one_line(error)
    return None


def upload_recorded_checkpoints(run: RunDirectory, store: Store | None, chosen: str | None = None) -> str | None:
    """Upload the checkpoints of a run that its settings choose, or others; return a problem, or None.

    Args:
        chosen: "none", "best", "last" or "all"; None: as the run's settings say.
    """
    try:
        config = measured_run(run, () if chosen is None else (f"tracking.checkpoints={chosen}",), done="uploaded")
    except InputError as error:
        return str(error)
    with redirect_stdout(sys.stderr):  # a network of the user's own may print
        return upload_checkpoints(run, config, store)


def _upload(run: RunDirectory, config: RunConfig, store: Store) -> None:
    from infomcr_cli.tracking.weights import WeightStore

    weights = WeightStore(run, store)
    missing = weights.missing(chosen_checkpoints(run, config.tracking.checkpoints))
    if not missing:
        return
    from infomcr_cli.exchange.exporting import Exporter

    exporter = Exporter(run, config)
    for step, name in sorted(missing.items()):
        exporter.load(name)
        weights.upload(step, name, exporter.model, raw_inputs(exporter.dataset), exporter.about(name))


def raw_inputs(dataset: Dataset) -> Mapping[str, Any]:
    """Return type and shape of each input as the data has it; a single one has the name ""."""
    images: Any = dataset.test.images
    arrays = images.arrays if isinstance(images, Inputs) else {"": images[:1]}
    return {name: (np.dtype(array.dtype).name, tuple(array.shape[1:])) for name, array in arrays.items()}
