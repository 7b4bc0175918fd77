"""Largest eigenvalue of the observed Fisher information."""

from __future__ import annotations

from infomcr_cli.measures.from_gram.shared import NO_COST, SETTINGS, over_draws
from infomcr_cli.measures.registry import MeasureValue, register_measure
from infomcr_cli.measures.subject import Subject


@register_measure(
    name="spectral_norm",
    formula="λ_max(G) / N",
    source="Karakida et al., AISTATS 2019, arXiv:1806.01316",
    unit="nats²",
    direction="lower",
    cost=NO_COST,
    needs=("gram",),
    settings=SETTINGS,
    suite="fast",
)
def spectral_norm(subject: Subject) -> MeasureValue:
    """Return λ_max(G) / N, averaged over draws."""
    return over_draws(subject, "spectral_norm", "nats²", "lower")
