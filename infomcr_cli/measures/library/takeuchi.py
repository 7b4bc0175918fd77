"""Takeuchi's information criterion, as the ratio of two traces: of the gradients' covariance and of the Hessian."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from infomcr_cli.errors import InputError
from infomcr_cli.measures.base import GRAM, IMAGES, register_measure
from infomcr_cli.measures.draws import SETTINGS, gram_draws
from infomcr_cli.measures.library.gram import NO_DRAW
from infomcr_cli.measures.library.hessian import estimated_trace, probe_passes, space_passes
from infomcr_cli.measures.value import MeasureValue, mean_over_draws

if TYPE_CHECKING:
    from infomcr_cli.measures.context import MeasureContext


def ratio(covariance: MeasureValue, hessian: MeasureValue) -> tuple[float, float | None]:
    """Return tr C / tr H with its standard error, by the delta method for two independent estimates.

    Raises:
        InputError: tr H is not positive.
    """
    if covariance.value is None or hessian.value is None or hessian.value <= 0:
        raise InputError("takeuchi needs a minimum, where tr H is positive", received=f"tr H = {hessian.value}")
    value = covariance.value / hessian.value
    if covariance.std_error is None or hessian.std_error is None:
        return value, None
    return value, float(np.hypot(covariance.std_error, value * hessian.std_error)) / hessian.value


@register_measure(
    name="takeuchi",
    formula="tr C / tr H, C = JᵀJ/N from the draws, H = ∇²L by Hutch++",
    source="Takeuchi, 1976; the ratio of traces: Thomas et al., AISTATS 2020, arXiv:1906.07774",
    family="information",
    unit="parameters",
    direction="lower",
    cost="that of hessian_trace, shared",
    passes=probe_passes,
    shares=(space_passes,),
    needs=(GRAM, IMAGES, "raw logits and batch norm in inference mode"),
    settings=(*SETTINGS, "samples", "curvature.probes", "curvature.products"),
)
def takeuchi(ctx: MeasureContext) -> MeasureValue:
    """Return the ratio with its standard error; it replaces tr(C H⁻¹), which needs all of H.

    Raises:
        InputError: the draws are of another loss than the Hessian, or tr H is not positive.
    """
    gamma = ctx.config.gamma
    if gamma.logit_scale is not None or gamma.batch_norm != "inference":
        received = f"measure.gamma.logit_scale={gamma.logit_scale}, measure.gamma.batch_norm={gamma.batch_norm}"
        raise InputError("takeuchi needs draws of raw logits, with batch norm in inference mode", received=received)
    covariance = mean_over_draws([draw.numbers["fisher_trace"] for draw in ctx.once(gram_draws)], NO_DRAW)
    hessian = ctx.once(estimated_trace)
    value, error = ratio(covariance, hessian)
    extras = {"hessian_trace": hessian.value, "covariance_trace": covariance.value}
    draws = len(covariance.extras["draws"])
    fewest = None if error is None else min(draws, hessian.estimates or draws)  # of the two that `error` comes from
    return MeasureValue(value, error, extras, estimates=fewest)
