"""Arrays into variables, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infomcr_cli.errors import InputError


def assign_all(variables: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Assign each array to the variable of its name; nothing is assigned unless all of them fit.

    Raises: InputError: names or shapes do not agree, so the arrays are of another network.
    """
    if variables.keys() != arrays.keys():
        odd = sorted(variables.keys() ^ arrays.keys())
        raise InputError("a checkpoint must fit the network", received=f"{len(odd)} odd names: {', '.join(odd[:5])}")
    for name, variable in variables.items():
        if tuple(variable.shape) != tuple(arrays[name].shape):
            received = f"{name} {tuple(arrays[name].shape)}, not {tuple(variable.shape)}"
            raise InputError("a checkpoint must fit the network", received=received)
    for name, variable in variables.items():
        variable.assign(arrays[name])
