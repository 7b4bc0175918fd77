"""Whether two minima can be the ends of a path: of one network, and of the same data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from infomcr_cli.errors import InputError
from infomcr_cli.landscapes.minima import Minimum
from infomcr_cli.runs.identity import identity_settings

NO_PART_OF_THE_NETWORK = {"dropout"}  # in inference mode
NO_PART_OF_THE_SAMPLES = {"batch_size", "order_seed", "seed"}
MOST = 5  # differences that an error names


def check_ends(first: Minimum, last: Minimum) -> None:
    """Check that a point between two minima is a network too, and that both were trained on the same images.

    Raises:
        InputError: they are not alike; what differs is named.
    """
    models, shapes = [_model(one) for one in (first, last)], [_shapes(one) for one in (first, last)]
    differ = _differences(*models) or _differences(*shapes)
    if differ:
        rule = "the ends of a path must be minima of the same network"
        raise InputError(rule, received=differ, advice=f"{first.label} and {last.label} differ in it.")
    known = [one.checkpoint.extra.get("data") for one in (first, last)]
    differ = _differences(_samples(first), _samples(last))
    if not differ and None not in known and known[0] != known[1]:
        differ = _differences(_seed(first), _seed(last)) or f"data {str(known[0])[:12]} → {str(known[1])[:12]}"
    if differ:
        rule = "the ends of a path must be minima of the same data"
        raise InputError(rule, received=differ, advice=f"{first.label} and {last.label} differ in it.")


def _model(minimum: Minimum) -> dict[str, Any]:
    settings = minimum.config.model.model_dump(exclude=NO_PART_OF_THE_NETWORK)
    return {f"model.{name}": value for name, value in settings.items()}


def _shapes(minimum: Minimum) -> dict[str, Any]:
    return {name: list(np.shape(array)) for name, array in minimum.checkpoint.weights.items()}


def _samples(minimum: Minimum) -> dict[str, Any]:
    settings = identity_settings(minimum.config.data)
    return {f"data.{name}": value for name, value in settings.items() if name not in NO_PART_OF_THE_SAMPLES}


def _seed(minimum: Minimum) -> dict[str, Any]:
    """Return the seed of subsets and label noise, by the name of the setting that decides it."""
    data, seed = minimum.config.data, minimum.config.seed
    return {"data.seed (null: seed)": seed if data.seed is None else data.seed}


def _differences(first: Mapping[str, Any], last: Mapping[str, Any]) -> str:
    names = [name for name in {**first, **last} if first.get(name) != last.get(name)]
    shown = [f"{name}: {first.get(name)} → {last.get(name)}" for name in names[:MOST]]
    return ", ".join(shown) + (f" and {len(names) - MOST} more" if len(names) > MOST else "")
