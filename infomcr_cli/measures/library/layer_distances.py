"""Norms of all layers and of their distances from initialization, summed, batch norm folded.

The equations are those of Jiang et al., 2020, without a division by the number of training images m. Dziugaite et al.,
2020, take √(·/m) of each sum; for one m both rank networks alike. W_l is a kernel, times the scale of the batch norm
behind it, and W_l⁰ the same before training; biases are left out. ‖·‖₂ is the norm of the operator on feature maps and
‖·‖_F that of the kernel, as in the measures with `fft` of their reference code.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.config.schema.measure import MeasureConfig
from infomcr_cli.errors import InputError
from infomcr_cli.measures.base import FOLDABLE, IMAGES, INITIAL, register_measure
from infomcr_cli.measures.families import EVERY_CHANGE
from infomcr_cli.measures.initial import initial_values
from infomcr_cli.measures.library import JIANG
from infomcr_cli.measures.library.layer_norms import (
    SPECTRAL_PASSES,
    maps,
    operator_norms,
    spectral_norms,
    spectral_passes,
)
from infomcr_cli.measures.library.simple import positive_margin
from infomcr_cli.measures.value import MeasureValue
from infomcr_cli.measures.work import Work, no_passes

if TYPE_CHECKING:
    from infomcr_cli.measures.batch_norm_folding import LinearMap
    from infomcr_cli.measures.context import MeasureContext

Array = NDArray[np.float64]


def moved_maps(ctx: MeasureContext) -> list[LinearMap]:
    """Return W_l − W_l⁰ of each linear map, each folded with its own batch norm, which several measures share."""
    from infomcr_cli.measures.batch_norm_folding import linear_maps
    from infomcr_cli.models.names import temporarily_at

    after, initial = ctx.once(maps), initial_values(ctx)
    with temporarily_at(ctx.model, initial):
        before = linear_maps(ctx.model)
    return [replace(one, kernel=one.kernel - start.kernel) for one, start in zip(after, before, strict=True)]


def squared_frobenius(linear: Sequence[LinearMap]) -> Array:
    """Return ‖W_l‖_F² of each map, [L]."""
    return np.array([np.sum(one.kernel**2) for one in linear])


def moved_spectral_norms(ctx: MeasureContext) -> Array:
    """Return ‖W_l − W_l⁰‖₂ of each map, [L]."""
    return operator_norms(ctx.once(moved_maps))


def moved_spectral_passes(config: MeasureConfig) -> Work:
    """Return the work of the spectral norms of the distances."""
    return Work(forward=SPECTRAL_PASSES)


def sum_of_ratios(above: Iterable[float], below: Iterable[float]) -> float:
    """Return Σ_l above_l / below_l.

    Raises:
        InputError: a map is zero.
    """
    above, below = np.asarray(above), np.asarray(below)
    if not np.all(below > 0):
        raise InputError("the ratio to the spectral norm needs non-zero layers", received="a layer of zeros")
    return float(np.sum(above / below))


@register_measure(
    name="parameter_norm",
    formula="Σ_l ‖W_l‖_F², batch norm folded",
    source=f"{JIANG}, equation 42",
    family="norm",
    invariance=("batch_norm_rescaling",),
    unit="weights²",
    direction="lower",
    cost="none",
    passes=no_passes,
    needs=(FOLDABLE,),
)
def parameter_norm(ctx: MeasureContext) -> MeasureValue:
    """Return the sum of the squared Frobenius norms."""
    return MeasureValue(float(squared_frobenius(ctx.once(maps)).sum()))


@register_measure(
    name="frobenius_distance",
    formula="Σ_l ‖W_l − W_l⁰‖_F², batch norm folded",
    source=f"{JIANG}, equation 40",
    family="norm",
    invariance=("batch_norm_rescaling",),
    unit="weights²",
    direction="lower",
    cost="building the network again",
    passes=no_passes,
    needs=(FOLDABLE, INITIAL),
)
def frobenius_distance(ctx: MeasureContext) -> MeasureValue:
    """Return the sum of the squared Frobenius distances from initialization."""
    return MeasureValue(float(squared_frobenius(ctx.once(moved_maps)).sum()))


@register_measure(
    name="spectral_distance",
    formula="Σ_l ‖W_l − W_l⁰‖₂², batch norm folded",
    source=f"{JIANG}, equation 41",
    family="norm",
    invariance=("batch_norm_rescaling",),
    unit="weights²",
    direction="lower",
    cost="about 30 applications of each convolution to one image",
    passes=moved_spectral_passes,
    needs=(FOLDABLE, INITIAL),
    free=True,
)
def spectral_distance(ctx: MeasureContext) -> MeasureValue:
    """Return the sum of the squared spectral distances from initialization."""
    return MeasureValue(float(np.sum(moved_spectral_norms(ctx) ** 2)))


@register_measure(
    name="frobenius_over_spectral",
    formula="Σ_l ‖W_l‖_F² / ‖W_l‖₂², batch norm folded",
    source=f"{JIANG}, equation 33",
    family="norm",
    invariance=EVERY_CHANGE,
    unit="ratio",
    direction="lower",
    cost="that of spectral_product, shared",
    passes=spectral_passes,
    needs=(FOLDABLE,),
    free=True,
)
def frobenius_over_spectral(ctx: MeasureContext) -> MeasureValue:
    """Return the sum over layers of the squared Frobenius norm over the squared spectral norm.

    For a dense layer that is its stable rank; for a convolution the kernel is divided by the norm of the whole map.
    """
    return MeasureValue(sum_of_ratios(squared_frobenius(ctx.once(maps)), np.square(ctx.once(spectral_norms))))


@register_measure(
    name="spectral_distance_product",
    formula="Σ_l ln ‖W_l‖₂² + ln Σ_l ‖W_l − W_l⁰‖_F²/‖W_l‖₂² − 2 ln margin, batch norm folded",
    source=f"{JIANG}, equation 29, its logarithm; Bartlett et al., NeurIPS 2017, arXiv:1706.08498",
    family="margin",
    invariance=("batch_norm_rescaling",),
    unit="ln",
    direction="lower",
    cost="those of spectral_product and margin, shared",
    passes=spectral_passes,
    needs=(FOLDABLE, IMAGES, INITIAL),
    settings=("samples",),
    free=True,
)
def spectral_distance_product(ctx: MeasureContext) -> MeasureValue:
    """Return the logarithm of the product of squared spectral norms times the sum of relative distances, over γ².

    It is the main term of the margin bound that starts from the initial weights. Dziugaite et al. take ½ (· − ln m).
    """
    norms = np.square(ctx.once(spectral_norms))
    moved = sum_of_ratios(squared_frobenius(ctx.once(moved_maps)), norms)
    if not moved > 0:
        raise InputError("the distance from initialization must not be zero", received=moved)
    return MeasureValue(float(np.sum(np.log(norms)) + np.log(moved) - 2 * np.log(positive_margin(ctx))))
