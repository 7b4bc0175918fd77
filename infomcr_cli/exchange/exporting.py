"""Export a run's network, with the input scaling as its first layer, and metadata about the run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from infomcr_cli import runtime
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.console.text import printable
from infomcr_cli.data import Dataset, load_dataset
from infomcr_cli.errors import InputError, RunFailedError
from infomcr_cli.exchange.architecture import read_architecture
from infomcr_cli.exchange.fitting import fitted
from infomcr_cli.exchange.formats import Format
from infomcr_cli.exchange.run_network import network_of_run
from infomcr_cli.exchange.writers import write
from infomcr_cli.models import named_weights
from infomcr_cli.models.names import assign_all
from infomcr_cli.runs import Checkpoint, RunDirectory, load_checkpoint, read_status
from infomcr_cli.runs.checkpoint import check_data

COMPARED = 64  # test samples on which the exported network is compared with the run's own
MAX_STD = 1e19  # its square is a float32
TOLERANCE = 1e-5  # of a logit, relative to the largest


class Exporter:
    """A run's network as a plain Keras model, into which the weights of checkpoints are loaded.

    Args:
        raw: whether the network takes inputs that are scaled already.

    Raises:
        InputError: the run's network or data cannot be loaded.
    """

    def __init__(self, run: RunDirectory, config: RunConfig, *, raw: bool = False) -> None:
        runtime.prepare_to_measure(config)
        self._run, self._raw = run, raw
        dataset = load_dataset(config.data, seed=config.seed)
        self._network = network_of_run(run, config, dataset)
        self.dataset = fitted(dataset, self._network)
        self.model = as_functional(self._network, self.dataset) if raw else with_scaling(self._network, self.dataset)
        self._loaded: Checkpoint | None = None

    def load(self, checkpoint: str) -> None:
        """Give the network the weights of a checkpoint.

        Raises:
            InputError: the checkpoint is damaged, or was trained on other data.
        """
        self._loaded = load_checkpoint(self._run, checkpoint)
        check_data(self._loaded, self.dataset.fingerprint)
        assign_all(named_weights(self._network), self._loaded.weights)
        _check_same(self.model, self._network, self.dataset, self._raw)

    def about(self, checkpoint: str) -> dict[str, Any]:
        """Return the metadata of the network, for JSON."""
        assert self._loaded is not None
        return {
            "run": self._run.name,
            "checkpoint": checkpoint,
            "step": self._loaded.step,
            "identity": read_status(self._run).identity,
            "class_names": list(self.dataset.class_names),
            "input": _input(self.dataset, self._raw),
            "output": "logits",
            "mean": list(self.dataset.mean),
            "std": list(self.dataset.std),
        }


def export_network(
    run: RunDirectory, config: RunConfig, checkpoint: str, target: Path, wanted: Format, *, raw: bool
) -> dict[str, Any]:
    """Write the network of a checkpoint and return the JSON document.

    Args:
        raw: whether the network takes inputs that are scaled already.

    Raises:
        InputError: the run's network or data cannot be loaded, or the place cannot be written to.
    """
    exporter = Exporter(run, config, raw=raw)
    exporter.load(checkpoint)
    about = exporter.about(checkpoint)
    try:
        write(exporter.model, target, wanted, about)
    except OSError as error:
        raise InputError("export needs a writable path", received=str(target), advice=f"{error}.") from None
    except NotImplementedError as error:  # what Keras raises at a layer of the user's own without get_config
        said = printable(" ".join(str(error).partition("Please")[0].split()), 300)
        advice = "Give it get_config(), or export NAME.weights.h5 or a SavedModel."
        raise InputError("Keras cannot serialize this network", received=said, advice=advice) from None
    return {"file": str(target), "format": str(wanted), **about, "notes": _notes(exporter.model, wanted)}


def with_scaling(network: keras.Model, dataset: Dataset) -> keras.Model:
    """Return a network for unscaled inputs, whose first layer is the scaling of the data set."""
    if not any(dataset.mean) and set(dataset.std) <= {1.0}:
        return as_functional(network, dataset)  # they are not scaled
    image = keras.Input(dataset.input_shape, name="image")
    # A vector [n, d] that was given an axis, [n, d, 1], is scaled by its d features, not along the new axis.
    axis = -2 if dataset.has_added_axis else -1
    channels = dataset.input_shape[axis] if len(dataset.mean) > 1 else 1
    mean, std = (np.asarray(numbers, np.float32)[:channels] for numbers in (dataset.mean, dataset.std))  # [channels]
    # The layer takes the root of the variance; the square of a float32 has that very number as its root.
    if not (std.min() > keras.config.epsilon() and std.max() < MAX_STD):
        raise InputError(
            f"Keras scales by standard deviations above {keras.config.epsilon():g} and below {MAX_STD:g}",
            received=f"{std.min():g} to {std.max():g}",
            advice="Export with --raw, and scale the inputs yourself.",
        )
    lists = {"mean": mean.tolist(), "variance": (std * std).tolist()}
    statistics = {name: numbers[0] if len(numbers) == 1 else numbers for name, numbers in lists.items()}
    scaling = keras.layers.Normalization(axis=axis if channels > 1 else None, name="scaling", **statistics)
    # The layers of a graph are called one by one, so that they stand beside the scaling and not inside a layer.
    logits = (network.call if _is_graph(network) else network)(scaling(image))
    return keras.Model(image, logits, name=network.name)


def as_functional(network: keras.Model, dataset: Dataset) -> keras.Model:
    """Return a functional network; a subclassed one becomes its only layer."""
    if _is_graph(network):
        return network
    images = _symbolic(dataset.standardise(dataset.test.images[:1]))
    return keras.Model(images, network(images), name=network.name)


def _symbolic(sample: Any, name: str = "image") -> Any:
    """Return the symbolic input for a sample, or for each array of it by name."""
    if isinstance(sample, Mapping):
        return {key: _symbolic(array, key) for key, array in sample.items()}
    return keras.Input(sample.shape[1:], dtype=str(sample.dtype), name=name)


def _is_graph(network: keras.Model) -> bool:
    kind = type(network)
    return kind is keras.Sequential or (kind.__name__ == "Functional" and kind.__module__.startswith("keras."))


def _check_same(model: keras.Model, network: keras.Model, dataset: Dataset, raw: bool) -> None:
    """Raise RunFailedError if the outputs of the exported network differ from those of the run's network."""
    samples = dataset.test.images[:COMPARED]
    scaled = dataset.standardise(samples)
    if isinstance(samples, np.ndarray) and samples.dtype == np.uint8:
        samples = samples.astype(np.float32)
    expected = keras.ops.convert_to_numpy(network(scaled, training=False))  # [n, C]
    found = keras.ops.convert_to_numpy(model(scaled if raw else samples, training=False))  # [n, C]
    # Equality first: the difference of two infinite logits is not a number.
    is_equal = (found == expected) | (np.isnan(found) & np.isnan(expected))
    with np.errstate(invalid="ignore"):
        difference = np.where(is_equal, 0.0, np.abs(found - expected)).max()
    if not difference <= TOLERANCE * np.abs(expected).max(initial=1.0, where=np.isfinite(expected)):
        raise RunFailedError(f"the exported network would differ by {difference:.1e}; nothing was written")


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
        content = json.dumps(keras.saving.serialize_keras_object(model), default=str).encode()
        read_architecture(content, "the network")
    except InputError as error:
        return [f"Plain Keras cannot load it without the code of its own layers: {error.received}."]
    return []
