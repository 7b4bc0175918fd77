"""PAC-Bayes bounds from the noise that the weights tolerate.

σ is `noise_scale`, the standard deviation of noise N(0, σ²) on each weight that costs `noise.accuracy_drop` of the
training accuracy, and σ′ is `magnitude_noise_scale`, of noise N(0, σ′²w_i² + ε²) with ε = 1e-3, as the bounds are
stated. The reference code of Dziugaite et al. gives its s² and s²w_i² + ε² to `torch.normal` as a standard deviation:
its s is √σ in the first two bounds, and has no simple relation to σ′ in the others. So values differ from those that
were published with that code. w are all trainable weights, since all of them bear the noise; the reference folds batch
norm first and takes kernels only. m is the number of training images.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.errors import InputError
from infomcr_cli.measures.base import IMAGES, INITIAL, register_measure
from infomcr_cli.measures.initial import initial_vector
from infomcr_cli.measures.library import JIANG
from infomcr_cli.measures.library.noise_scale import (
    FLOOR,
    magnitude_passes,
    magnitude_scale,
    plain_passes,
    plain_scale,
)
from infomcr_cli.measures.value import MeasureValue
from infomcr_cli.measures.work import Passes

if TYPE_CHECKING:
    from infomcr_cli.measures.context import MeasureContext

Array = NDArray[np.float64]
SOURCE = f"{JIANG}; √(·/m): Dziugaite et al., NeurIPS 2020, arXiv:2010.11924"
STEP = 1e-4  # relative, of the difference quotient


def complexity(sigma: float, *, squared_length: float, count: int) -> float:
    """Return ‖·‖²/(4σ²) + ln(m/σ) + 10, equations 48 and 49 of the source.

    Args:
        sigma:          σ.
        squared_length: ‖w‖², or ‖w − w⁰‖².
        count:          m.
    """
    return float(squared_length / (4 * sigma**2) + np.log(count / sigma) + 10)


def magnitude_complexity(sigma: float, *, squared_length: float, moved: Array, count: int) -> float:
    """Return ¼ Σ_i ln((ε² + (σ′² + 1)‖·‖²/W) / (ε² + σ′²|w_i − w⁰_i|²)) + ln(m/σ′) + 10, equations 56 and 57.

    Args:
        sigma:          σ′.
        squared_length: ‖w‖², or ‖w − w⁰‖².
        moved:          w − w⁰, [W]; both bounds have it in the denominator.
        count:          m.
    """
    above = FLOOR**2 + (sigma**2 + 1) * squared_length / len(moved)
    logs = np.log(above) - np.log(FLOOR**2 + sigma**2 * moved**2)
    return float(logs.sum() / 4 + np.log(count / sigma) + 10)


def bound(
    complexity_of: Callable[[float], float], sigma: float, std_error: float | None, count: int
) -> tuple[float, float | None]:
    """Return √(complexity/m) at σ, and its standard error by the delta method.

    Args:
        complexity_of: of σ.
        std_error:     of σ.
        count:         m.

    Raises:
        InputError: the complexity is negative.
    """
    found = complexity_of(sigma)
    if not found >= 0:
        raise InputError("the complexity of a PAC-Bayes bound must not be negative", received=f"{found:.6g}")
    value = float(np.sqrt(found / count))
    if std_error is None or not value > 0:
        return value, None
    rise = complexity_of(sigma * (1 + STEP)) - complexity_of(sigma * (1 - STEP))
    slope = rise / (2 * STEP * sigma) / (2 * count * value)  # d√(f/m)/dσ = f′ / (2m √(f/m))
    return value, abs(slope) * std_error


def _plain(ctx: MeasureContext, length_of: Callable[[MeasureContext], float]) -> MeasureValue:
    count, squared_length = len(ctx.dataset.train), length_of(ctx)
    return _bound(
        lambda sigma: complexity(sigma, squared_length=squared_length, count=count), ctx.once(plain_scale), count
    )


def _magnitude(ctx: MeasureContext, length_of: Callable[[MeasureContext], float]) -> MeasureValue:
    count, squared_length, moved = len(ctx.dataset.train), length_of(ctx), ctx.surface.weights - initial_vector(ctx)
    return _bound(
        lambda sigma: magnitude_complexity(sigma, squared_length=squared_length, moved=moved, count=count),
        ctx.once(magnitude_scale),
        count,
    )


def _bound(complexity_of: Callable[[float], float], scale: MeasureValue, count: int) -> MeasureValue:
    sigma = scale.value
    assert sigma is not None, "the search for a scale ends with one or raises"
    value, error = bound(complexity_of, sigma, scale.std_error, count)
    extras = {"sigma": sigma, "complexity": complexity_of(sigma), "images": count}
    return MeasureValue(value, error, extras, scale.estimates)


def _from_origin(ctx: MeasureContext) -> float:
    return float(np.sum(ctx.surface.weights**2))


def _from_start(ctx: MeasureContext) -> float:
    return float(np.sum((ctx.surface.weights - initial_vector(ctx)) ** 2))


def _register(
    name: str,
    formula: str,
    passes: Passes,
    needs: tuple[str, ...],
    compute: Callable[[MeasureContext], MeasureValue],
) -> None:
    register_measure(
        name=name,
        formula=formula,
        source=SOURCE,
        family="pac_bayes",
        unit="error",
        direction="lower",
        cost="that of noise_scale, shared",
        passes=passes,
        needs=(IMAGES, *needs),
        settings=("samples", "noise.accuracy_drop", "noise.draws"),
    )(compute)


_register(
    "pac_bayes_origin",
    "√((‖w‖²/(4σ²) + ln(m/σ) + 10)/m)",
    plain_passes,
    (),
    lambda ctx: _plain(ctx, _from_origin),
)
_register(
    "pac_bayes_init",
    "√((‖w − w⁰‖²/(4σ²) + ln(m/σ) + 10)/m)",
    plain_passes,
    (INITIAL,),
    lambda ctx: _plain(ctx, _from_start),
)
_MAGNITUDE = "√((¼ Σ_i ln((ε² + (σ′² + 1){}/W)/(ε² + σ′²|w_i − w⁰_i|²)) + ln(m/σ′) + 10)/m), ε = 10⁻³"
_register(
    "pac_bayes_magnitude_origin",
    _MAGNITUDE.format("‖w‖²"),
    magnitude_passes,
    (INITIAL,),
    lambda ctx: _magnitude(ctx, _from_origin),
)
_register(
    "pac_bayes_magnitude_init",
    _MAGNITUDE.format("‖w − w⁰‖²"),
    magnitude_passes,
    (INITIAL,),
    lambda ctx: _magnitude(ctx, _from_start),
)
