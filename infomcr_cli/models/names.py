"""Weights by paths that are the same in every process, whatever else was built before."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras


def named_weights(model: keras.Model) -> dict[str, Any]:
    """Return every weight and moving statistic by its path, in the order in which layers were made.

    A layer `group1.block1.conv1` owns `group1/block1/conv1/kernel`: Keras refuses `/` in a layer's name. Layers
    without a name, which Keras numbers through all models of a process, are numbered anew: `conv2d`, `conv2d_1`, …
    """
    number, found = _Numbering(model), dict[str, Any]()
    for variable in model.weights:
        if not _is_random_state(variable):
            found[_free(number.path(variable), found)] = variable
    return found


def _free(path: str, taken: Mapping[str, Any]) -> str:
    """Models inside a model may have layers of one name: the second `fc/kernel` becomes `fc_1/kernel`."""
    layer, _, leaf = path.rpartition("/")
    numbered = (f"{layer}_{number}/{leaf}" for number in itertools.count(1))
    return path if path not in taken else next(name for name in numbered if name not in taken)


class _Numbering:
    """Counts nameless layers and variables of one model in the order in which its weights appear."""

    def __init__(self, model: keras.Model) -> None:
        kinds = {"variable", *(_snake_case(type(layer).__name__) for layer in model._flatten_layers())}
        self._nameless = re.compile(f"({'|'.join(sorted(map(re.escape, kinds)))})(_\\d+)?")
        self._given: dict[tuple[str, str], str] = {}
        self._used: dict[tuple[str, str], int] = {}

    def path(self, variable: Any) -> str:
        path = ""
        for name in variable.path.split("/"):
            path = f"{path}/{self._name(path, name)}"
        layer, _, leaf = path[1:].rpartition("/")
        return f"{layer.replace('.', '/')}/{leaf}"

    def _name(self, parent: str, name: str) -> str:
        match = self._nameless.fullmatch(name)
        if match is None:
            return name
        if (parent, name) not in self._given:
            place = self._used.get((parent, match[1]), 0)
            self._used[parent, match[1]] = place + 1
            self._given[parent, name] = f"{match[1]}_{place}" if place else match[1]
        return self._given[parent, name]


def _snake_case(name: str) -> str:
    """Write a class name as Keras does when it names a layer after it."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _is_random_state(variable: Any) -> bool:
    return bool(variable.path.endswith("seed_generator_state"))
