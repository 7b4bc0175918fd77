"""Name weights by paths that are the same in every process, independent of other models."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from infomcr_cli.errors import InputError

if TYPE_CHECKING:
    import keras


def named_weights(model: keras.Model) -> dict[str, Any]:
    """Return every weight and moving statistic by its path, in the order in which layers were built.

    A layer `group1.block1.conv1` owns `group1/block1/conv1/kernel`: Keras refuses `/` in a layer's name. Keras
    numbers unnamed layers through all models of a process; here each model has its own: `conv2d`, `conv2d_1`, …
    """
    number, named = _Numbering(model), dict[str, Any]()
    for variable in model.weights:
        if not variable.path.endswith("seed_generator_state"):  # of a random generator
            named[_unused(number.path(variable), named)] = variable
    return named


def numbered_paths(model: keras.Model) -> dict[str, str]:
    """Return a dict from the path that Keras gave each weight to the path with unnamed layers renumbered."""
    number = _Numbering(model)
    return {variable.path: number.numbered(variable) for variable in model.weights}


def _unused(path: str, taken: Container[str]) -> str:
    """Append a number to a path that is taken: layers inside a subclassed model may share a name."""
    numbered = (f"{path}_{place}" for place in count(1))
    return path if path not in taken else next(one for one in numbered if one not in taken)


class _Numbering:
    """Numbers unnamed layers and variables of one model in the order in which its weights appear."""

    def __init__(self, model: keras.Model) -> None:
        from infomcr_cli.models.keras_internals import all_layers  # imports TensorFlow

        kinds = {"variable", *(_snake_case(type(layer).__name__) for layer in all_layers(model))}
        self._unnamed = re.compile(f"({'|'.join(sorted(map(re.escape, kinds)))})(_\\d+)?")
        self._given: dict[tuple[str, str], str] = {}
        self._used: dict[tuple[str, str], int] = {}

    def path(self, variable: Any) -> str:
        layer, _, leaf = self.numbered(variable).rpartition("/")
        return f"{layer.replace('.', '/')}/{leaf}"

    def numbered(self, variable: Any) -> str:
        path = ""
        for name in variable.path.split("/"):
            path = f"{path}/{self._name(path, name)}"
        return path[1:]

    def _name(self, parent: str, name: str) -> str:
        match = self._unnamed.fullmatch(name)
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


def assign_all(variables: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Assign each array to the variable of its name; nothing is assigned unless all of them fit.

    Raises:
        InputError: names or shapes differ, so the arrays belong to another network.
    """
    if variables.keys() != arrays.keys():
        odd = sorted(variables.keys() ^ arrays.keys())
        raise InputError(
            "a checkpoint must fit the network", received=f"{len(odd)} unexpected names: {', '.join(odd[:5])}"
        )
    for name, variable in variables.items():
        if tuple(variable.shape) != tuple(arrays[name].shape):
            received = f"{name} {tuple(arrays[name].shape)}, not {tuple(variable.shape)}"
            raise InputError("a checkpoint must fit the network", received=received)
    for name, variable in variables.items():
        variable.assign(arrays[name])


@contextmanager
def temporarily_at(model: keras.Model, arrays: Mapping[str, Any]) -> Iterator[None]:
    """Give a network other weights and moving statistics inside the block, and restore its own afterwards.

    Raises:
        InputError: names or shapes differ, so the arrays belong to another network.
    """
    variables = named_weights(model)
    # Copies: on a CPU an array may share the memory of its variable.
    before = {name: np.asarray(variable).copy() for name, variable in variables.items()}
    try:
        assign_all(variables, arrays)
        yield
    finally:
        assign_all(variables, before)
