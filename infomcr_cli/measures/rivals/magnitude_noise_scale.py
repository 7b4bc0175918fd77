"""Noise on the weights that costs a given accuracy, in proportion to each weight."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infomcr_cli.measures.pac_bayes import noise_scale
from infomcr_cli.measures.rivals.shared import IMAGES, JIANG, Found, drops_of, register_rival

if TYPE_CHECKING:
    from infomcr_cli.measures.minimum import Minimum


@register_rival(
    name="magnitude_noise_scale",
    formula="σ at which noise N(0, σ²w_i² + 10⁻⁶) on w_i costs noise.accuracy_drop",
    source=f"PAC-Bayes: {JIANG}",
    unit="|w_i|",
    direction="higher",
    cost="some 14 forward passes over the samples for each draw of noise",
    needs=(IMAGES,),
    settings=("samples", "noise.accuracy_drop", "noise.draws"),
)
def magnitude_noise_scale(at: Minimum) -> Found:
    """Return σ with its standard error over the draws of noise."""
    scale, error = noise_scale(at.surface, **drops_of(at.config), seed=at.seed, magnitude_aware=True)
    return Found(scale, error, estimates=at.config.noise.draws)
