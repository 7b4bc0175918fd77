"""Heavy tails of the spectra of weight matrices: the exponent of a power law, plain and weighted by the scale."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.measures.base import register_measure
from infomcr_cli.measures.families import EVERY_CHANGE
from infomcr_cli.measures.value import MeasureValue
from infomcr_cli.measures.work import no_passes

if TYPE_CHECKING:
    import keras

    from infomcr_cli.measures.context import MeasureContext


Array = NDArray[np.float64]
MARTIN = "Martin, Peng & Mahoney, Nature Communications 12 (2021), arXiv:2002.06716"
FEWEST_VALUES = 10  # eigenvalues of a layer that is fitted
ROUNDING = 1e-4  # relative: eigenvalues that differ by less are those of an orthogonal matrix in float32
NEGLIGIBLE = 1e-12  # of the largest eigenvalue: what rounding leaves of a rank that is lost


@dataclass(frozen=True)
class Tail:
    """A power law p(x) ∝ x^-α above x_min.

    Args:
        alpha:    α > 1.
        distance: greatest distance of the fitted distribution function from the empirical one (Kolmogorov-Smirnov).
        count:    values in the tail.
        start:    x_min.
    """

    alpha: float
    distance: float
    count: int
    start: float


def power_law_tail(values: Array) -> Tail:
    """Return the power law that fits the upper tail of positive values best.

    α = 1 + n / Σ ln(x/x_min) is the maximum-likelihood exponent of the n values from x_min on; every value
    but the largest is tried as x_min, and the one with the least Kolmogorov-Smirnov distance is taken. The empirical
    distribution function is that below each value, k/n, as in the packages powerlaw and WeightWatcher.

    Args:
        values: positive, at least two of them different, [n].

    Source:
        Clauset, Shalizi & Newman, 2009, arXiv:0706.1062, sections 3.1 and 3.3.
    """
    x = np.sort(np.asarray(values, np.float64))
    logs = np.log(x)
    fits = []
    for first in range(int(np.searchsorted(x, x[-1]))):  # values below the largest
        if first and x[first] == x[first - 1]:  # the same x_min without some of its values
            continue
        count, excess = len(x) - first, logs[first:] - logs[first]  # ln(x/x_min), [count]
        slope = count / excess.sum()  # α - 1
        # 1 − (x/x_min)^(1−α), with the digits of values close to x_min.
        fitted, empirical = -np.expm1(-slope * excess), np.arange(count) / count
        fits.append(Tail(1 + slope, float(np.abs(fitted - empirical).max()), count, float(x[first])))
    return min(fits, key=lambda fit: fit.distance)


def eigenvalues(matrices: Array) -> Array:
    """Return the squared singular values of one matrix, or of all matrices of a stack together, ascending.

    Args:
        matrices: [..., inputs, outputs].
    """
    return np.sort(np.linalg.svd(matrices, compute_uv=False).ravel() ** 2)


def weight_matrices(model: keras.Model) -> Iterator[tuple[str, Array]]:
    """Yield name and matrices [..., inputs, outputs] of each trainable weight that is a matrix or a set of filters.

    Filters give one matrix of inputs and outputs for each place of their window; their eigenvalues are taken together,
    as in WeightWatcher, but as they are: its default `conv2d_norm` multiplies filters by a constant first, which leaves
    α and changes λ_max. Other weights of three or more axes are left out.
    """
    from infomcr_cli.measures.stateless import trainable_weights
    from infomcr_cli.models.keras_internals import all_layers, own_variables

    trainable = {id(variable) for variable in trainable_weights(model)}
    for layer in all_layers(model):
        for variable in own_variables(layer):
            if id(variable) not in trainable or len(variable.shape) < 2:
                continue
            trainable.discard(id(variable))  # a layer that is used twice counts once
            if len(variable.shape) == 2 or hasattr(layer, "kernel_size"):
                yield variable.path, np.asarray(variable, np.float64)


def fitted_tails(model: keras.Model) -> list[dict[str, Any]]:
    """Return the fit of each layer, with its largest eigenvalue; layers of fewer than ten eigenvalues are left out."""
    found = []
    for name, matrices in weight_matrices(model):
        if not np.isfinite(matrices).all():
            continue
        values = eigenvalues(matrices)
        values = values[values > NEGLIGIBLE * values[-1]]
        if len(values) >= FEWEST_VALUES and values[-1] > (1 + ROUNDING) * values[0]:
            tail = power_law_tail(values)
            found.append(
                {
                    "layer": name,
                    "alpha": tail.alpha,
                    "ks_distance": tail.distance,
                    "tail": tail.count,
                    "eigenvalues": len(values),
                    "largest": float(values[-1]),
                }
            )
    return found


def _fits(ctx: MeasureContext) -> list[dict[str, Any]]:
    return fitted_tails(ctx.model)


def _mean(layers: list[dict[str, Any]], values: list[float]) -> MeasureValue:
    if not layers:
        reason = f"no weight matrix of finite values has {FEWEST_VALUES} different eigenvalues"
        return MeasureValue(None, extras={"reason": reason})
    return MeasureValue(float(np.mean(values)), extras={"layers": layers})


@register_measure(
    name="power_law_alpha",
    formula="mean_l α_l, α_l the exponent of the tail of the eigenvalues of W_lᵀW_l",
    source=f"{MARTIN}; the fit: Clauset et al., SIAM Review 51 (2009), arXiv:0706.1062",
    family="spectral",
    invariance=EVERY_CHANGE,
    unit="exponent",
    direction="lower",
    cost="singular values of all weight matrices",
    passes=no_passes,
    needs=("weight matrices of ten or more eigenvalues",),
    free=False,
)
def power_law_alpha(ctx: MeasureContext) -> MeasureValue:
    """Return the mean exponent over the layers; `extras` hold each fit with its distance and its number of values."""
    layers = ctx.once(_fits)
    return _mean(layers, [layer["alpha"] for layer in layers])


@register_measure(
    name="weighted_alpha",
    formula="mean_l α_l log₁₀ λ_max(W_lᵀW_l)",
    source=MARTIN,
    family="spectral",
    unit="log₁₀",
    direction="lower",
    cost="that of power_law_alpha, shared",
    passes=no_passes,
    needs=("weight matrices of ten or more eigenvalues",),
    free=False,
)
def weighted_alpha(ctx: MeasureContext) -> MeasureValue:
    """Return the mean over the layers: WeightWatcher's alpha-hat, for filters with its `conv2d_norm` off."""
    layers = ctx.once(_fits)
    return _mean(layers, [layer["alpha"] * float(np.log10(layer["largest"])) for layer in layers])
