"""The settings of a landscape computation, independent of the runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DIRECTIONS = ("random", "hessian")
BATCH_STATISTICS = ("keep", "renew")
RADIUS = {"random": 1.0, "hessian": 0.02}
POINTS = {1: 51, 2: 25}
MOST_POINTS = 2001


@dataclass(frozen=True)
class LandscapeSettings:
    """How a landscape is computed.

    Args:
        kind:             directions, or the plane through three minima.
        dimensions:       1 or 2.
        points:           of each axis; of the longer one of a plane.
        radius:           how far each direction is followed to both sides; None for a plane, which shows all minima.
        seed:             of random directions, and of the start of Lanczos.
        samples:          training images that losses are taken of; None: all.
        batch_statistics: whether the moving statistics of batch norm are kept or renewed at each point.
    """

    kind: Literal["random", "hessian", "plane"]
    dimensions: int
    points: int
    radius: float | None
    seed: int
    samples: int | None
    batch_statistics: Literal["keep", "renew"]


OPERATORS = ("hessian", "fisher")
PROBES, STEPS = 10, 60


@dataclass(frozen=True)
class SpectrumSettings:
    """How a spectral density is computed.

    Args:
        operator: the Hessian H, or G/N, which has the spectrum of the observed Fisher information.
        probes:   random vectors.
        steps:    of Lanczos, from each; fewer if the operator is smaller.
        width:    σ of the Gaussians, in units of the eigenvalues, at least a 5,000th of their range; None: a hundredth.
        seed:     of the probes.
        samples:  training images; None: all.
    """

    operator: Literal["hessian", "fisher"]
    probes: int
    steps: int
    width: float | None
    seed: int
    samples: int | None
