"""Squared Fisher-Rao norm of the weights, by the empirical Fisher."""

from __future__ import annotations

from infomcr_cli.measures.from_gram.shared import NO_COST, SETTINGS, over_draws
from infomcr_cli.measures.registry import GRAM, MeasureValue, register_measure
from infomcr_cli.measures.subject import Subject


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
