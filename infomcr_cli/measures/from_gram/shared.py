"""What the measures of the Gram matrix have in common: an estimate over draws as a `MeasureValue`."""

from __future__ import annotations

from typing import Any

from infomcr_cli.measures.registry import Direction, MeasureValue
from infomcr_cli.measures.subject import Subject

SETTINGS = tuple(
    f"gamma.{name}"
    for name in ("samples", "draws", "draw_size", "batch_norm", "logit_scale", "chunk_size", "precision")
)
NO_COST = "none beside gamma's draws"
# G is made of the gradients at the true labels: not the Fisher information, whose labels the network itself draws.
EMPIRICAL = "empirical Fisher: Kunstner et al., NeurIPS 2019, arXiv:1905.12558"


def over_draws(subject: Subject, name: str, unit: str, direction: Direction, **extras: Any) -> MeasureValue:
    """Return one number of `DrawSummary`, averaged over draws, with each draw and its interval."""
    found = subject.gram_draws.over_draws(name)
    interval = None if found.low is None else [found.low, found.high]
    common = {"interval": interval, "draws": list(found.draws)}
    return MeasureValue(found.value, found.std_error, unit, direction, {**common, **extras})
