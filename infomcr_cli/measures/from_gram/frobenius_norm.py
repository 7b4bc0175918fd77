"""Frobenius norm of the empirical Fisher information."""

from __future__ import annotations

from infomcr_cli.measures.from_gram.shared import EMPIRICAL, NO_COST, SETTINGS, over_draws
from infomcr_cli.measures.registry import GRAM, MeasureValue, register_measure
from infomcr_cli.measures.subject import Subject


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
