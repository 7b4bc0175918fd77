"""The weights before training, which several measures compare with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.errors import InputError

if TYPE_CHECKING:
    from infomcr_cli.measures.context import MeasureContext


def initial_values(ctx: MeasureContext) -> Mapping[str, Any]:
    """Return the weights and moving statistics before training by name; they are made anew once.

    Raises:
        InputError: the run did not begin with weights of its own that are known.
    """
    return ctx.once(_initial_values)


def _initial_values(ctx: MeasureContext) -> Mapping[str, Any]:
    initial = ctx.initial_weights()
    if initial is None:
        raise InputError(
            "the distance from initialization needs the run's initial weights",
            advice="Import a network with --initial FILE to provide them.",
        )
    return initial


def initial_vector(ctx: MeasureContext) -> NDArray[np.float64]:
    """Return w⁰, the trainable weights before training, flat, [W], in the order of `LossSurface.weights`.

    Raises:
        InputError: the run did not begin with weights of its own that are known, or they are another network's.
    """
    return ctx.once(_initial_vector)


def _initial_vector(ctx: MeasureContext) -> NDArray[np.float64]:
    from infomcr_cli.measures.stateless import trainable_weights
    from infomcr_cli.models import named_weights

    initial = initial_values(ctx)
    by_identity = {id(variable): name for name, variable in named_weights(ctx.model).items()}
    names = [by_identity[id(variable)] for variable in trainable_weights(ctx.model)]
    if absent := [name for name in names if name not in initial]:
        raise InputError("the initial weights must match the network", received=f"none of {absent[0]}")
    return ctx.surface.flat([initial[name] for name in names])
