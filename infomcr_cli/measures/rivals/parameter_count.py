"""Number of trainable weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infomcr_cli.measures.rivals.shared import JIANG, Found, register_rival

if TYPE_CHECKING:
    from infomcr_cli.measures.minimum import Minimum


@register_rival(
    name="parameter_count",
    formula="W",
    source=JIANG,
    unit="weights",
    direction="lower",
    cost="none",
    suite="fast",
)
def parameter_count(at: Minimum) -> Found:
    """Return W."""
    return Found(float(at.surface.size))
