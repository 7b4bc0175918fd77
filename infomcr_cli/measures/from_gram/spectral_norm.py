"""Largest eigenvalue of the empirical Fisher information."""

from __future__ import annotations

from infomcr_cli.measures.from_gram.shared import EMPIRICAL, NO_COST, SETTINGS, over_draws
from infomcr_cli.measures.registry import GRAM, MeasureValue, register_measure
from infomcr_cli.measures.subject import Subject


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
