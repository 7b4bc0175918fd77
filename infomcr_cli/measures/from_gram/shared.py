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


def over_draws(subject: Subject, name: str, unit: str, direction: Direction, **extras: Any) -> MeasureValue:
    """Return one number of `DrawSummary`, averaged over draws, with each draw, its interval and the convention."""
    result = subject.gram_draws
    found = result.over_draws(name)
    common = {
        "interval": None if found.low is None else [found.low, found.high],
        "draws": list(found.draws),
        "convention": result.convention.document(),
    }
    return MeasureValue(found.value, found.std_error, unit, direction, {**common, **extras})
