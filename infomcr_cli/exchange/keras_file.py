"""Read a .keras file as a network that outputs logits, and its layers as JSON, from which it can be rebuilt."""

from __future__ import annotations

import copy
import json
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.exchange.architecture import (
    WAY_OUT,
    Architecture,
    architecture_bytes,
    check_architecture,
    read_architecture,
)
from infomcr_cli.exchange.archive import config_bytes, copy_weights, opened_archive
from infomcr_cli.exchange.h5_weights import check_h5
from infomcr_cli.exchange.softmax import without_softmax
from infomcr_cli.models.keras_internals import (
    all_layers,
    bounded_normalization,
    functional_graph,
    graph_nodes,
    object_sharing,
)

MAX_FEATURES = 2**31  # numbers that one sample may become in any layer
MAX_MEAN = 2**24  # numbers of the mean of one sample
MIXED = ("mixed_bfloat16", "mixed_float16")
MAX_UNKNOWN = 10**12  # weights of a network whose weights file is not checked


@dataclass(frozen=True)
class KerasModel:
    """A network from a .keras file.

    Args:
        model:        gives logits.
        original:     as the file has it, with the softmax that it may end in.
        architecture: the layers of `model`, JSON: `build` makes the network of them again.
        softmax_of:   the layer whose softmax was taken away; None: there was none.
    """

    model: keras.Model
    original: keras.Model
    architecture: bytes
    softmax_of: str | None


def read_keras_file(path: Path, weights: Path | None = None) -> KerasModel:
    """Return the network of a .keras file without executing anything in it.

    Args:
        weights: a .weights.h5 file to take in place of the file's own weights.

    Raises:
        InputError: the file is damaged, holds something that is not allowed, or its weights do not fit.
    """
    what, named = (f"config.json of {printable(path.name)}", f"the weights of {printable((weights or path).name)}")
    with opened_archive(path) as archive, tempfile.TemporaryDirectory(prefix="infomcr-") as folder:
        architecture = read_architecture(config_bytes(archive, path), what)
        copied = Path(folder) / "model.weights.h5"  # what is checked is what is read
        shutil.copyfile(weights, copied) if weights else copy_weights(archive, path, copied)
        original = build(architecture, what, most_weights=check_h5(copied, named))
        load_h5(original, copied, named)
    return _with_logits(original, what)


def build(architecture: Architecture, what: str, *, most_weights: int = MAX_UNKNOWN) -> keras.Model:
    """Build the network of a checked description, in float32 or in its own precision.

    Weights get their memory only when their number is known to be at most `most_weights`.

    Raises:
        InputError: Keras cannot build it, or it is larger than it may be.
    """
    # Variables of the block get their memory when the scope ends, unless `initialize_variables` is off by then.
    scope = keras.StatelessScope()
    try:
        with _refusals(what), scope:
            try:
                # Keras empties the description that it is given.
                with object_sharing(), bounded_normalization(MAX_MEAN):
                    model = keras.saving.deserialize_keras_object(copy.deepcopy(architecture), safe_mode=True)
                _check_size(model, most_weights, what)
            except BaseException:
                scope.initialize_variables = False
                raise
    except InputError:
        keras.utils.clear_session()  # or the weights that were refused would get their memory later
        raise
    return model


def load_h5(model: keras.Model, path: Path, what: str) -> None:
    """Load a checked weights file into a network; every weight must be in the file.

    Raises:
        InputError: the file is of another network.
    """
    advice = "The file must have been saved from this very network: model.save_weights(FILE)."
    with _refusals(what, advice), warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # Keras warns where it leaves weights as they were
        model.load_weights(path)


def _with_logits(original: keras.Model, what: str) -> KerasModel:
    """Serialize the loaded network, remove its softmax, rebuild it and copy the weights."""
    adapted = [layer for layer in all_layers(original) if isinstance(layer, keras.layers.Normalization)]
    for layer in adapted:
        if layer.input_mean is None:
            # Adapted means and variances are not weights of the network: they move into the layer's description.
            layer.input_mean = np.asarray(layer.adapt_mean)
            layer.input_variance = np.asarray(layer.adapt_variance)
    with object_sharing():
        described = check_architecture(_plain(keras.saving.serialize_keras_object(original)), what)
    architecture, softmax_of = without_softmax(_in_full_precision(described))
    model = build(architecture, what)
    # By id: `==` of Keras variables compares their values.
    statistics = {id(variable) for layer in adapted for variable in layer.variables}
    carried = [variable for variable in original.weights if id(variable) not in statistics]
    if [tuple(v.shape) for v in carried] != [tuple(v.shape) for v in model.weights]:
        raise InputError(f"{what} must rebuild the same network", advice=WAY_OUT)
    for variable, source in zip(model.weights, carried, strict=True):
        variable.assign(source)
    return KerasModel(model, original, architecture_bytes(architecture), softmax_of)


def _plain(description: Any) -> Architecture:
    """Return a description in JSON form: lists for tuples, no training settings, shared objects numbered."""
    document: Architecture = json.loads(json.dumps(description))
    document.pop("compile_config", None)
    _number_shared(document, {})
    return document


def _in_full_precision(architecture: Architecture) -> Architecture:
    """Let mixed-precision layers compute in the precision of their weights, for measuring and exporting."""
    text = json.dumps(architecture)
    for policy in MIXED:
        text = text.replace(json.dumps({"name": policy}), json.dumps({"name": "float32"}))
    whole: Architecture = json.loads(text)
    return whole


def _number_shared(value: Any, numbers: dict[int, int]) -> None:
    """Give numbers to shared objects; Keras identifies them by memory address, which differs between processes."""
    if isinstance(value, dict):
        if "shared_object_id" in value:
            value["shared_object_id"] = numbers.setdefault(value["shared_object_id"], len(numbers) + 1)
        for inner in value.values():
            _number_shared(inner, numbers)
    elif isinstance(value, list):
        for inner in value:
            _number_shared(inner, numbers)


def _check_size(model: Any, most_weights: int, what: str) -> None:
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        advice = "Begin it with keras.Input(shape), or call model.build((None, *shape)), and save it anew."
        raise InputError(f"{what} must describe a network with known input shapes", advice=advice)
    for layer in all_layers(model):
        if not type(layer).__module__.startswith("keras.src."):
            raise InputError(f"{what} must contain only Keras layers", received=type(layer).__name__)
    weights = sum(_count(variable.shape) for variable in model.weights)
    if weights > most_weights:
        raise InputError(
            f"{what} must describe a network whose weights are in the file",
            received=f"{weights} weights, {most_weights} in the file",
        )
    for tensor in _tensors(model):
        if _count([n for n in tensor.shape if n is not None]) > MAX_FEATURES:
            raise InputError(f"{what} must compute at most {MAX_FEATURES} numbers per sample", received=tensor.shape)


def _tensors(model: keras.Model) -> Iterator[Any]:
    for node in graph_nodes(functional_graph(model)):
        yield from node.output_tensors
        if isinstance(node.operation, keras.Model):
            yield from _tensors(node.operation)


def _count(shape: Any) -> int:
    count = 1
    for length in shape:
        count *= int(length)
    return count


@contextmanager
def _refusals(what: str, advice: str = WAY_OUT) -> Iterator[None]:
    """Turn any exception that Keras raises for an untrusted file into an InputError."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        plain = re.sub(r"\x1b\[[\d;]*m", "", str(error))  # Keras writes in bold letters
        said = printable(" ".join(plain.split()), 300)
        raise InputError(f"{what} must be one that Keras can load", received=said, advice=advice) from None
