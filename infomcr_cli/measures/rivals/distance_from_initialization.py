"""How far training has carried the weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infomcr_cli.errors import InputError
from infomcr_cli.measures.distance import distance_from_initialization as distance
from infomcr_cli.measures.rivals.shared import Found, register_rival

if TYPE_CHECKING:
    from infomcr_cli.measures.minimum import Minimum


@register_rival(
    name="distance_from_initialization",
    formula="‖w − w₀‖₂, w₀ made anew from the seed",
    source="Nagarajan & Kolter, 2019, arXiv:1901.01672",
    unit="weights",
    direction="lower",
    cost="building the network once more",
    needs=("the run's seed",),
    suite="fast",
)
def distance_from_initialization(at: Minimum) -> Found:
    """Return the distance over all trainable weights.

    Raises: InputError: the run began with the weights of another.
    """
    if at.initial is None:
        raise InputError(
            "the distance from initialization needs a run whose weights before training are its own and known",
            advice="Import a network with --initial FILE to make them known.",
        )
    return Found(distance(at.trainable, at.initial))
