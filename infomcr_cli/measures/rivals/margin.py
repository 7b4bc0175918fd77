"""By how much the true class leads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infomcr_cli.measures.rivals.shared import IMAGES, JIANG, Found, register_rival

if TYPE_CHECKING:
    from infomcr_cli.measures.minimum import Minimum


@register_rival(
    name="margin",
    formula="10th percentile of z_y − max_{k≠y} z_k",
    source=JIANG,
    unit="logits",
    direction="higher",
    cost="one forward pass over the samples",
    needs=(IMAGES,),
    settings=("samples",),
    suite="fast",
)
def margin(at: Minimum) -> Found:
    """Return the 10th percentile over the samples."""
    return Found(at.margin)
