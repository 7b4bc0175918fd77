"""Products of the Frobenius or spectral norms of all layers, plain and over the margin, batch norm folded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.config.schema.measure import MeasureConfig
from infomcr_cli.measures.base import FOLDABLE, IMAGES, register_measure
from infomcr_cli.measures.families import EVERY_CHANGE, SAME_FUNCTION
from infomcr_cli.measures.library import JIANG
from infomcr_cli.measures.library.simple import clean_margin
from infomcr_cli.measures.value import MeasureValue
from infomcr_cli.measures.work import Work, no_passes

if TYPE_CHECKING:
    import keras

    from infomcr_cli.measures.batch_norm_folding import LinearMap
    from infomcr_cli.measures.context import MeasureContext

SPECTRAL_PASSES = 5000.0  # images, whatever the number of samples


def log_frobenius_product(model: keras.Model) -> float:
    """Return Σ_l ln ‖W_l‖_F², the logarithm of the product of squared Frobenius norms, batch norm folded.

    Raises:
        InputError: the network is not made of convolutions, dense layers and batch norms.

    Source:
        Jiang et al., 2020, arXiv:1912.02178; Neyshabur et al., 2015, arXiv:1503.00036.
    """
    from infomcr_cli.measures.batch_norm_folding import linear_maps

    return _log_product(_frobenius_norms(linear_maps(model)))


def log_spectral_product(model: keras.Model) -> float:
    """Return Σ_l ln ‖W_l‖₂², the logarithm of the product of squared spectral norms, batch norm folded.

    Raises:
        InputError: the network is not made of convolutions, dense layers and batch norms.

    Source:
        Jiang et al., 2020, arXiv:1912.02178; Bartlett et al., 2017, arXiv:1706.08498.
    """
    from infomcr_cli.measures.batch_norm_folding import linear_maps

    return _log_product(operator_norms(linear_maps(model)))


def _frobenius_norms(linear: Iterable[LinearMap]) -> list[float]:
    return [float(np.linalg.norm(one.kernel)) for one in linear]


def operator_norms(linear: Iterable[LinearMap]) -> NDArray[np.float64]:
    """Return ‖W_l‖₂ of each linear map, [L]."""
    from infomcr_cli.measures.operator_norm import spectral_norm

    return np.array([spectral_norm(one) for one in linear])


def _log_product(norms: Iterable[float]) -> float:
    """Return Σ 2 ln norm; −inf if a layer is zero, as a scale that was initialized to zero can be."""
    with np.errstate(divide="ignore"):
        return float(sum(2 * np.log(norm) for norm in norms))


def over_margin(log_product: float, margin: float) -> float | None:
    """Return the logarithm of a product over the squared margin; None if the margin is not positive."""
    return log_product - 2 * float(np.log(margin)) if margin > 0 else None


def maps(ctx: MeasureContext) -> list[LinearMap]:
    """Return the linear maps of the network, batch norm folded, which several measures share."""
    from infomcr_cli.measures.batch_norm_folding import linear_maps

    return linear_maps(ctx.model)


def _log_frobenius(ctx: MeasureContext) -> float:
    return _log_product(_frobenius_norms(ctx.once(maps)))


def spectral_norms(ctx: MeasureContext) -> NDArray[np.float64]:
    """Return ‖W_l‖₂ of each linear map, batch norm folded, [L], which several measures share."""
    return operator_norms(ctx.once(maps))


def spectral_passes(config: MeasureConfig) -> Work:
    """Return the work of the spectral norms."""
    return Work(forward=SPECTRAL_PASSES, functions=1)


def _with_margin(log_product: float, ctx: MeasureContext) -> MeasureValue:
    value = over_margin(log_product, ctx.once(clean_margin))
    return MeasureValue(value, extras={} if value is not None else {"reason": "the margin is not positive"})


@register_measure(
    name="frobenius_product",
    formula="Σ_l ln ‖W_l‖_F², batch norm folded",
    source=f"Neyshabur et al., COLT 2015, arXiv:1503.00036; {JIANG}",
    family="norm",
    invariance=SAME_FUNCTION,
    unit="ln",
    direction="lower",
    cost="none",
    passes=no_passes,
    needs=(FOLDABLE,),
    suite="fast",
)
def frobenius_product(ctx: MeasureContext) -> MeasureValue:
    """Return the logarithm of the product of squared norms."""
    return MeasureValue(ctx.once(_log_frobenius))


@register_measure(
    name="frobenius_product_over_margin",
    formula="Σ_l ln ‖W_l‖_F² − 2 ln margin, batch norm folded",
    source=JIANG,
    family="margin",
    invariance=EVERY_CHANGE,
    unit="ln",
    direction="lower",
    cost="one forward pass over the samples, shared with margin",
    passes=no_passes,
    needs=(FOLDABLE, IMAGES),
    settings=("samples",),
    suite="fast",
)
def frobenius_product_over_margin(ctx: MeasureContext) -> MeasureValue:
    """Return the logarithm of the product of squared norms over the squared 10th-percentile margin."""
    return _with_margin(ctx.once(_log_frobenius), ctx)


@register_measure(
    name="spectral_product",
    formula="Σ_l ln ‖W_l‖₂², of the operators on feature maps, batch norm folded",
    source=f"{JIANG}; the operator's norm: Gouk et al., 2021, arXiv:1804.04368",
    family="norm",
    invariance=SAME_FUNCTION,
    unit="ln",
    direction="lower",
    cost="about 30 applications of each convolution to one image",
    passes=spectral_passes,
    needs=(FOLDABLE,),
    free=True,
)
def spectral_product(ctx: MeasureContext) -> MeasureValue:
    """Return the logarithm of the product of squared norms."""
    return MeasureValue(_log_product(ctx.once(spectral_norms)))


@register_measure(
    name="spectral_product_over_margin",
    formula="Σ_l ln ‖W_l‖₂² − 2 ln margin, batch norm folded",
    source=f"Bartlett et al., NeurIPS 2017, arXiv:1706.08498; {JIANG}",
    family="margin",
    invariance=EVERY_CHANGE,
    unit="ln",
    direction="lower",
    cost="those of spectral_product and margin, shared",
    passes=spectral_passes,
    needs=(FOLDABLE, IMAGES),
    settings=("samples",),
    free=True,
)
def spectral_product_over_margin(ctx: MeasureContext) -> MeasureValue:
    """Return the logarithm of the product of squared norms over the squared 10th-percentile margin."""
    return _with_margin(_log_product(ctx.once(spectral_norms)), ctx)
