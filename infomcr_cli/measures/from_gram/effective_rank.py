"""Number of directions that carry the spectrum."""

from __future__ import annotations

from infomcr_cli.measures.from_gram.shared import NO_COST, SETTINGS, over_draws
from infomcr_cli.measures.registry import GRAM, MeasureValue, register_measure
from infomcr_cli.measures.subject import Subject


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
