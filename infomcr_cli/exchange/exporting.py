"""A run's network with the scaling of its input as a layer, and what is written down about it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from infomcr_cli import runtime
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.data import Dataset, load_dataset
from infomcr_cli.errors import InputError, RunFailedError
from infomcr_cli.exchange.architecture import read_architecture
from infomcr_cli.exchange.fitting import fitted, input_structure
from infomcr_cli.exchange.formats import Format
from infomcr_cli.exchange.run_network import network_of_run
from infomcr_cli.exchange.writers import write
from infomcr_cli.models import named_weights
from infomcr_cli.models.names import assign_all
from infomcr_cli.runs import RunDirectory, load_checkpoint, read_status
from infomcr_cli.runs.checkpoint import check_data

COMPARED = 64  # test samples on which the exported network is held against the run's own
TOLERANCE = 1e-5  # of a logit, relative to the largest


def export_network(
    run: RunDirectory, config: RunConfig, checkpoint: str, target: Path, wanted: Format, *, raw: bool
) -> dict[str, Any]:
    """Write the network of a checkpoint and return the JSON document.

    Args:
        raw: whether the network takes inputs that are scaled already.

    Raises:
        InputError: the run's network or data is not to be had, or the place cannot be written to.
    """
    runtime.prepare(config.model_copy(update={"precision": "float32"}))
    loaded = load_checkpoint(run, checkpoint)
    dataset = load_dataset(config.data, seed=config.seed)
    check_data(loaded, dataset.fingerprint)
    network = network_of_run(run, config, dataset)
    dataset = fitted(dataset, network)
    assign_all(named_weights(network), loaded.weights)
    model = network if raw else with_scaling(network, dataset)
    _check_same(model, network, dataset, raw)
    about = {
        "run": run.name,
        "checkpoint": checkpoint,
        "step": loaded.step,
        "identity": read_status(run).identity,
        "class_names": list(dataset.class_names),
        "input": _input(dataset, raw),
        "output": "logits",
        "mean": list(dataset.mean),
        "std": list(dataset.std),
    }
    try:
        write(model, target, wanted, about)
    except OSError as error:
        raise InputError(
            "export needs a place that can be written to", received=str(target), advice=f"{error}."
        ) from None
    return {"file": str(target), "format": str(wanted), **about, "notes": _notes(model, wanted)}


def with_scaling(network: keras.Model, dataset: Dataset) -> keras.Model:
    """Return a network that takes inputs as they are in the files: the scaling of the data set is its first layer."""
    if not any(dataset.mean) and set(dataset.std) <= {1.0}:
        return network  # they are not scaled
    given = input_structure(network)
    image = keras.Input(tuple(given.shape[1:]), name="image")
    channels = given.shape[-1] if len(dataset.mean) > 1 else 1
    mean, std = (np.asarray(numbers, np.float32)[:channels] for numbers in (dataset.mean, dataset.std))
    # The layer takes the root of the variance; the square of a float32 has that very number as its root.
    statistics = {"mean": mean.tolist(), "variance": (std * std).tolist()}
    scaling = keras.layers.Normalization(axis=-1 if channels > 1 else None, name="scaling", **_scalars(statistics))
    # The layers of a graph are called one by one, so that they stand beside the scaling and not inside a layer.
    is_graph = type(network) is keras.Sequential or _is_functional(network)
    logits = (network.call if is_graph else network)(scaling(image))
    return keras.Model(image, logits, name=network.name)


def _is_functional(network: keras.Model) -> bool:
    return type(network).__name__ == "Functional" and type(network).__module__.startswith("keras.")


def _scalars(statistics: dict[str, list[float]]) -> dict[str, Any]:
    return {name: numbers[0] if len(numbers) == 1 else numbers for name, numbers in statistics.items()}


def _check_same(model: keras.Model, network: keras.Model, dataset: Dataset, raw: bool) -> None:
    """Raise RunFailedError where the exported network does not give what the run's own network gives."""
    samples = dataset.test.images[:COMPARED]
    scaled = dataset.standardise(samples)
    expected = keras.ops.convert_to_numpy(network(scaled, training=False))
    found = keras.ops.convert_to_numpy(model(scaled if raw else _as_floats(samples), training=False))
    difference = np.abs(found - expected).max()
    if not difference <= TOLERANCE * max(1.0, np.abs(expected).max()):
        raise RunFailedError(f"the exported network would differ by {difference:.1e}; nothing was written")


def _as_floats(samples: Any) -> Any:
    return samples.astype(np.float32) if isinstance(samples, np.ndarray) and samples.dtype == np.uint8 else samples


def _input(dataset: Dataset, raw: bool) -> str:
    if isinstance(dataset.input_shape, dict):
        return "arrays by name, as the files have them"
    shape = ", ".join(str(length) for length in dataset.input_shape)
    scaled = any(dataset.mean) or not set(dataset.std) <= {1.0}
    return f"[n, {shape}], " + ("(x - mean) / std of what the files have" if raw and scaled else "as the files have it")


def _notes(model: keras.Model, wanted: Format) -> Sequence[str]:
    if wanted is not Format.KERAS:
        return []
    try:
        import json

        content = json.dumps(keras.saving.serialize_keras_object(model), default=str).encode()
        read_architecture(content, "the network")
    except InputError as error:
        return [f"Plain Keras cannot load it without the code of its own layers: {error.received}."]
    return []
