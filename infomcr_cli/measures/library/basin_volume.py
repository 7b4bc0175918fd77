"""Basin volume: the logarithm of the volume around the weights in which the loss rises by less than c."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.config.schema.measure import MeasureConfig
from infomcr_cli.measures.base import IMAGES, register_measure
from infomcr_cli.measures.value import MeasureValue
from infomcr_cli.measures.work import Work, compiled_gradient

if TYPE_CHECKING:
    from infomcr_cli.measures.context import MeasureContext
    from infomcr_cli.measures.loss_surface import LossSurface
    from infomcr_cli.measures.ray_volume import RayVolume


Array = NDArray[np.float64]
PILOTS = 4  # rays that show the curvature
SEARCH, FIRST_SEARCH = 3.5, 6.0  # forward passes that find a ray's radius; a pilot ray's


def basin_of(surface: LossSurface, *, height: float, rays: int, seed: int) -> RayVolume:
    """Return ln of the volume where L(w + δ) - L(w) < c, by rays from w.

    What the rays are drawn from comes from a part of the samples; that changes the spread, not what is estimated.

    Args:
        height: c, nats.
        rays:   at least 2.

    Raises:
        InputError: the loss does not rise by c along a ray.
    """
    from infomcr_cli.measures.cross_entropy import sample_losses
    from infomcr_cli.measures.ray_volume import ray_scales, ray_volume

    few = surface.few()
    losses = sample_losses(surface.clean_logits, surface.labels)

    def rise(displacement: Array) -> float:
        return surface.loss(surface.weights + displacement) - float(losses.mean())

    def rough_rise(displacement: Array) -> float:
        return surface.loss(surface.weights + displacement, few) - float(losses[few].mean())

    def gradient(displacement: Array) -> Array:
        return surface.loss_and_gradient(surface.weights + displacement, few)[1]

    # Pilots have random numbers of their own: the estimate from the rays stays unbiased.
    scales, guess = ray_scales(gradient, rough_rise, surface.size, height=height, pilots=PILOTS, seed=(seed, 0))
    return ray_volume(rise, scales, height=height, rays=rays, seed=(seed, 1), guess=guess)


def _passes(config: MeasureConfig) -> Work:
    tried, few = config.basin_volume.rays * SEARCH, config.samples / 4
    return Work(
        forward=config.samples * tried + few * PILOTS * FIRST_SEARCH,
        gradients=few * (PILOTS + 1),
        vectors=tried + PILOTS * FIRST_SEARCH,
    )


@register_measure(
    name="basin_volume",
    formula="ln Vol {δ: L(w + δ) − L(w) < c}, by random rays",
    source="Scherlis & Belrose, 2025, arXiv:2501.18812",
    family="volume",
    unit="nats",
    direction="higher",
    cost="three or four forward passes over the samples per ray",
    passes=_passes,
    shares=(compiled_gradient,),
    needs=(IMAGES,),
    settings=("samples", "basin_volume.rise", "basin_volume.rays"),
)
def basin_volume(ctx: MeasureContext) -> MeasureValue:
    """Return ln V with its standard error over the rays; with many weights the longest ray decides: a lower bound.

    `effective_rays` says how many of the rays the volume rests on. Volumes of networks of different size have no common
    unit.
    """
    settings = ctx.config.basin_volume
    found = basin_of(ctx.surface, height=settings.rise, rays=settings.rays, seed=ctx.seed)
    extras = {"effective_rays": found.effective, "mean_log_radius": float(np.log(found.radii).mean())}
    return MeasureValue(found.value, found.std_error, extras, estimates=settings.rays)
