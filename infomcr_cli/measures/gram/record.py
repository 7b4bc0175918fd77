"""The result of one draw: the Gram matrix and what else the measures read. Nothing here needs TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.measures import gamma as formulas

Array = NDArray[np.float64]


@dataclass(frozen=True)
class LayerGroup:
    """The part of a Gram matrix that comes from one group of layers.

    Args:
        trace:      its part of the trace of the empirical Fisher, tr G_group / N.
        log_volume: gamma of the group's weights only, nats; None if their Gram matrix is singular.
        rank:       of the unit-diagonal matrix.
        weights:    number of trainable weights.
    """

    trace: float
    log_volume: float | None
    rank: int
    weights: int


@dataclass(frozen=True)
class GramRecord:
    """Gram matrix of the per-sample gradients of one draw.

    Args:
        unit_gram:       Ĝ, the matrix of cosines between gradients, [N, N].
        log_lengths:     ln ‖J_i‖, [N]; -inf for a zero gradient.
        losses:          ℓ_i, nats, [N].
        products:        u = J w, [N].
        groups:          by layer group, in the order of the model.
        gradient_method: by weight: `rule`, `layer` or `model`, see `trace.GradientPlan`.
    """

    unit_gram: Array
    log_lengths: Array
    losses: Array
    products: Array
    groups: dict[str, LayerGroup]
    gradient_method: dict[str, str]

    @cached_property
    def gram(self) -> Array:
        """G = J Jᵀ, [N, N]."""
        return formulas.rescaled(self.unit_gram, self.log_lengths)

    @cached_property
    def rank(self) -> int:
        """Rank of Ĝ; rows of zeros do not count."""
        return formulas.rank(self.unit_gram)

    @property
    def gamma(self) -> float | None:
        """Gamma of this draw, nats; None if the draw is deficient, its rank being below N."""
        return self.log_volume() if self.rank == len(self.unit_gram) else None

    def log_volume(self) -> float:
        """Return gamma of this draw, nats.

        Raises:
            SingularGramError: the rank is below N.
        """
        return formulas.log_volume_of_unit(self.unit_gram, self.log_lengths)


def layer_group(unit: Array, log_derivatives: Array, weights: int) -> LayerGroup:
    """Return the record of a group from the Gram matrix of rows that belong to unit derivatives at the logits.

    Args:
        unit:            H, [N, N], with G_ij = exp(a_i + a_j) H_ij.
        log_derivatives: a, the logarithms of the derivatives' lengths, [N].
        weights:         number of trainable weights of the group.
    """
    cosines, lengths = formulas.unit_diagonal(unit)
    logs = lengths + log_derivatives
    try:
        volume = formulas.log_volume_of_unit(cosines, logs)
    except formulas.SingularGramError:
        volume = None
    return LayerGroup(float(np.exp(2 * logs).sum() / len(logs)), volume, formulas.rank(cosines), weights)
