"""Noise on the weights that costs a given accuracy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infomcr_cli.measures.pac_bayes import noise_scale as crossing_scale
from infomcr_cli.measures.rivals.shared import IMAGES, JIANG, Found, drops_of, register_rival

if TYPE_CHECKING:
    from infomcr_cli.measures.minimum import Minimum


@register_rival(
    name="noise_scale",
    formula="σ at which noise N(0, σ²) on w_i costs noise.accuracy_drop",
    source=f"PAC-Bayes: {JIANG}",
    unit="weights",
    direction="higher",
    cost="some 14 forward passes over the samples for each draw of noise",
    needs=(IMAGES,),
    settings=("samples", "noise.accuracy_drop", "noise.draws"),
)
def noise_scale(at: Minimum) -> Found:
    """Return σ with its standard error over the draws of noise."""
    scale, error = crossing_scale(at.surface, **drops_of(at.config), seed=at.seed, magnitude_aware=False)
    return Found(scale, error, estimates=at.config.noise.draws)
