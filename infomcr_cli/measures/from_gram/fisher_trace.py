"""Trace of the observed Fisher information."""

from __future__ import annotations

from infomcr_cli.measures.from_gram.shared import NO_COST, SETTINGS, over_draws
from infomcr_cli.measures.registry import MeasureValue, register_measure
from infomcr_cli.measures.subject import Subject


@register_measure(
    name="fisher_trace",
    formula="tr G / N",
    source="Jastrzebski et al., ICML 2021, arXiv:2012.14193",
    unit="nats²",
    direction="lower",
    cost=NO_COST,
    needs=("gram",),
    settings=SETTINGS,
    suite="fast",
)
def fisher_trace(subject: Subject) -> MeasureValue:
    """Return tr G / N, the mean squared length of the per-sample gradients, averaged over draws."""
    return over_draws(subject, "fisher_trace", "nats²", "lower")
