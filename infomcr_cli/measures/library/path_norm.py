"""Path norm: the sum, over all paths from a pixel to a logit, of the squared product of the weights on the path."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from infomcr_cli.measures.base import IMAGES, register_measure
from infomcr_cli.measures.families import EVERY_CHANGE, SAME_FUNCTION
from infomcr_cli.measures.library import JIANG
from infomcr_cli.measures.library.simple import positive_margin
from infomcr_cli.measures.value import MeasureValue
from infomcr_cli.measures.work import no_passes

if TYPE_CHECKING:
    import keras

    from infomcr_cli.measures.context import MeasureContext


def log_path_norm(model: keras.Model) -> float:
    """Return ½ ln Σ_k f(1; w²)_k, f the network with every weight squared and every input 1, batch norm folded.

    Raises:
        InputError: the network is not one for which the sum over paths is this value, see `squared_outputs`.

    Source:
        Neyshabur et al., 2015, arXiv:1503.00036; Jiang et al., 2020, arXiv:1912.02178.
    """
    from infomcr_cli.measures.squared_network import squared_outputs

    with np.errstate(divide="ignore"):  # every path may include a weight of zero
        return 0.5 * float(np.log(np.sum(squared_outputs(model))))


@register_measure(
    name="path_norm",
    formula="½ ln Σ_k f(1; w²)_k, batch norm folded",
    source=f"Neyshabur et al., COLT 2015, arXiv:1503.00036; {JIANG}",
    family="norm",
    invariance=SAME_FUNCTION,
    unit="ln",
    direction="lower",
    cost="one forward pass of one image in float64",
    passes=no_passes,
    needs=("a rectified network",),
    suite="fast",
)
def path_norm(ctx: MeasureContext) -> MeasureValue:
    """Return the logarithm of the norm."""
    return MeasureValue(ctx.once(_log_path_norm))


def _log_path_norm(ctx: MeasureContext) -> float:
    return log_path_norm(ctx.model)


@register_measure(
    name="path_norm_over_margin",
    formula="½ ln Σ_k f(1; w²)_k − ln margin, batch norm folded",
    source=f"{JIANG}, equation 43, half its logarithm",
    family="margin",
    invariance=EVERY_CHANGE,
    unit="ln",
    direction="lower",
    cost="one forward pass over the samples, shared with margin",
    passes=no_passes,
    needs=("a rectified network", IMAGES),
    settings=("samples",),
)
def path_norm_over_margin(ctx: MeasureContext) -> MeasureValue:
    """Return the logarithm of the norm over the 10th-percentile margin.

    The source has the square, Σ_k f(1; w²)_k / γ²; Dziugaite et al. take √(·/m) of it. For one number of training
    images m all three rank networks alike.
    """
    return MeasureValue(ctx.once(_log_path_norm) - float(np.log(positive_margin(ctx))))
