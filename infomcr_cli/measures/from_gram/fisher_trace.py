"""Trace of the empirical Fisher information."""

from __future__ import annotations

from infomcr_cli.measures.from_gram.shared import EMPIRICAL, NO_COST, SETTINGS, over_draws
from infomcr_cli.measures.registry import GRAM, MeasureValue, register_measure
from infomcr_cli.measures.subject import Subject


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
