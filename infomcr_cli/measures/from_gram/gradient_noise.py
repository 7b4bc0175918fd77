"""Variance of the per-sample gradients."""

from __future__ import annotations

from infomcr_cli.measures.from_gram.shared import NO_COST, SETTINGS, over_draws
from infomcr_cli.measures.registry import GRAM, MeasureValue, register_measure
from infomcr_cli.measures.subject import Subject


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
