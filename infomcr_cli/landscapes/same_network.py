"""Check that a plane or path can connect minima: same network, same data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from infomcr_cli.config.schema.imported import ImportedModelConfig
from infomcr_cli.errors import InputError
from infomcr_cli.landscapes.minima import Minimum
from infomcr_cli.runs.identity import identity_settings
from infomcr_cli.runs.io.safe_documents import parse_json

NO_PART_OF_THE_NETWORK = {"dropout"}  # in inference mode
NO_PART_OF_THE_SAMPLES = {"batch_size", "order_seed", "seed"}
LAYERS = "model.json"  # of an imported run
MOST = 5  # differences that an error names


def check_same_network(what: str, minima: Sequence[Minimum]) -> None:
    """Check that a point between some minima is a network too, and that all were trained on the same images.

    Args:
        what: the minima are, such as "the ends of a path".

    Raises:
        InputError: they are not alike; what differs is named.
    """
    for other in minima[1:]:
        _check_two(what, minima[0], other)


def _check_two(what: str, first: Minimum, last: Minimum) -> None:
    models, shapes = [_model(one) for one in (first, last)], [_shapes(one) for one in (first, last)]
    differ = _differences(*models) or _differences(*shapes)
    if differ:
        rule = f"{what} must be minima of the same network"
        raise InputError(rule, received=differ, advice=f"{first.label} and {last.label} differ in it.")
    known = [one.checkpoint.extra.get("data") for one in (first, last)]
    differ = _differences(_samples(first), _samples(last))
    if not differ and None not in known and known[0] != known[1]:
        differ = _differences(_seed(first), _seed(last)) or f"data {str(known[0])[:12]} → {str(known[1])[:12]}"
    if differ:
        rule = f"{what} must be minima of the same data"
        raise InputError(rule, received=differ, advice=f"{first.label} and {last.label} differ in it.")


def _model(minimum: Minimum) -> dict[str, Any]:
    if isinstance(minimum.config.model, ImportedModelConfig):
        document = parse_json(minimum.run.read(LAYERS), f"{LAYERS} of {minimum.run.name}")
        layers = json.dumps(_unnamed(document), sort_keys=True)
        return {f"{LAYERS}, SHA-256 without names": hashlib.sha256(layers.encode()).hexdigest()[:12]}
    settings = minimum.config.model.model_dump(exclude=NO_PART_OF_THE_NETWORK)
    return {f"model.{name}": value for name, value in settings.items()}


def _unnamed(document: Any) -> Any:
    """Return a description of layers with numbers for names: Keras counts unnamed ones through a whole process."""
    numbers: dict[str, str] = {}

    def collect(value: Any) -> None:
        if isinstance(value, dict) and isinstance(value.get("name"), str):
            numbers.setdefault(value["name"], f"layer {len(numbers)}")
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            collect(inner)

    def renamed(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: renamed(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [renamed(inner) for inner in value]
        return numbers.get(value, value) if isinstance(value, str) else value

    collect(document)
    return renamed(document)


def _shapes(minimum: Minimum) -> dict[str, Any]:
    return {name: list(np.shape(array)) for name, array in minimum.checkpoint.weights.items()}


def _samples(minimum: Minimum) -> dict[str, Any]:
    settings = identity_settings(minimum.config.data)
    return {f"data.{name}": value for name, value in settings.items() if name not in NO_PART_OF_THE_SAMPLES}


def _seed(minimum: Minimum) -> dict[str, Any]:
    """Return the seed of subsets and label noise, by the name of its setting."""
    data, seed = minimum.config.data, minimum.config.seed
    return {"data.seed (null: seed)": seed if data.seed is None else data.seed}


def _differences(first: Mapping[str, Any], last: Mapping[str, Any]) -> str:
    names = [name for name in {**first, **last} if first.get(name) != last.get(name)]
    shown = [f"{name}: {first.get(name)} → {last.get(name)}" for name in names[:MOST]]
    return ", ".join(shown) + (f" and {len(names) - MOST} more" if len(names) > MOST else "")
