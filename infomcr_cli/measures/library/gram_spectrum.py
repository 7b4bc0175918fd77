"""Gamma, the log-volume of the per-sample gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infomcr_cli.measures.base import GRAM, MeasureValue, register_measure
from infomcr_cli.measures.library.common import EMPIRICAL, NO_COST, SETTINGS, over_draws

if TYPE_CHECKING:
    from infomcr_cli.measures.context import Subject


@register_measure(
    name="gamma",
    formula="½ ln det G, mean over draws",
    source="Jia & Su, ICML 2020, arXiv:1911.08192",
    unit="nats",
    direction="lower",
    cost="one forward and one backward pass a draw, and as much again for the Gram matrix",
    needs=(GRAM,),
    settings=(*SETTINGS, "gamma.memory", "gamma.target_se"),
    suite="fast",
)
def gamma(subject: Subject) -> MeasureValue:
    """Return gamma with each draw, its rank, the mean spectrum of G/N, and the split by layer group.

    A deficient draw stands as None in `draws`, is counted in `deficient`, and is not averaged.
    """
    result = subject.gram_draws
    served = list(result.served_by.values())
    return over_draws(
        subject,
        "gamma",
        "nats",
        "lower",
        rank=[draw.rank for draw in result.draws],
        deficient=result.over_draws("gamma").deficient,
        spectrum=result.mean_spectrum().tolist(),
        groups=result.by_group(),
        served_by={kind: served.count(kind) for kind in ("rule", "layer", "model")},
    )


@register_measure(
    name="fisher_trace",
    formula="tr G / N, trace of the empirical Fisher (true labels)",
    source=EMPIRICAL,
    unit="nats²",
    direction="lower",
    cost=NO_COST,
    needs=(GRAM,),
    settings=SETTINGS,
    suite="fast",
)
def fisher_trace(subject: Subject) -> MeasureValue:
    """Return tr G / N, the mean squared length of the per-sample gradients at the true labels, averaged over draws.

    This is the empirical Fisher. The trace of the Fisher information itself (Jastrzebski et al., ICML 2021,
    arXiv:2012.14193) takes labels that the network draws, and is another number.
    """
    return over_draws(subject, "fisher_trace", "nats²", "lower")


@register_measure(
    name="spectral_norm",
    formula="λ_max(G) / N, of the empirical Fisher (true labels)",
    source=f"{EMPIRICAL}; of the Fisher itself: Karakida et al., AISTATS 2019, arXiv:1806.01316",
    unit="nats²",
    direction="lower",
    cost=NO_COST,
    needs=(GRAM,),
    settings=SETTINGS,
    suite="fast",
)
def spectral_norm(subject: Subject) -> MeasureValue:
    """Return λ_max(G) / N, the largest eigenvalue of the empirical Fisher, averaged over draws."""
    return over_draws(subject, "spectral_norm", "nats²", "lower")


@register_measure(
    name="frobenius_norm",
    formula="‖G‖_F / N, of the empirical Fisher (true labels)",
    source=f"{EMPIRICAL}; beside Fisher and Hessian: Thomas et al., AISTATS 2020, arXiv:1906.07774",
    unit="nats²",
    direction="lower",
    cost=NO_COST,
    needs=(GRAM,),
    settings=SETTINGS,
    suite="fast",
)
def frobenius_norm(subject: Subject) -> MeasureValue:
    """Return ‖G‖_F / N, the Frobenius norm of the empirical Fisher, averaged over draws."""
    return over_draws(subject, "frobenius_norm", "nats²", "lower")


@register_measure(
    name="effective_rank",
    formula="exp(H(p)), p = λ/Σλ",
    source="Roy & Vetterli, EUSIPCO 2007",
    unit="directions",
    direction="lower",
    cost=NO_COST,
    needs=(GRAM,),
    settings=SETTINGS,
    suite="fast",
)
def effective_rank(subject: Subject) -> MeasureValue:
    """Return the exponential of the entropy of the normalised spectrum, in [1, N], averaged over draws."""
    return over_draws(subject, "effective_rank", "directions", "lower")


@register_measure(
    name="fisher_rao_norm",
    formula="mean_i u_i², u = J w (true labels)",
    source="Liang et al., AISTATS 2019, arXiv:1711.01530",
    unit="nats²",
    direction="lower",
    cost=NO_COST,
    needs=(GRAM,),
    settings=SETTINGS,
    suite="fast",
)
def fisher_rao_norm(subject: Subject) -> MeasureValue:
    """Return the mean squared derivative of a loss along the weights, averaged over draws."""
    return over_draws(subject, "fisher_rao_norm", "nats²", "lower")


@register_measure(
    name="gradient_noise",
    formula="tr Σ = (tr G − Σ_ij G_ij / N) / (N − 1)",
    source="McCandlish et al., 2018, arXiv:1812.06162; as a measure: Jiang et al., ICLR 2020, arXiv:1912.02178",
    unit="nats²",
    direction="lower",
    cost=NO_COST,
    needs=(GRAM,),
    settings=SETTINGS,
    suite="fast",
)
def gradient_noise(subject: Subject) -> MeasureValue:
    """Return the trace of the unbiased covariance of the per-sample gradients, averaged over draws."""
    return over_draws(subject, "gradient_noise", "nats²", "lower")
