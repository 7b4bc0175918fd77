"""The plane through three minima, with the checkpoints of their training projected onto it.

| symbol | meaning | shape |
| --- | --- | --- |
| A, B, C | trainable weights of the three minima | [W] |
| u = B − A | first direction; ‖u‖ is the unit of both axes | [W] |
| v | the part of C − A orthogonal to u, as long as u | [W] |
| (x, y) | coordinates: A = (0, 0), B = (1, 0), C = (c_x, c_y) | |
| (1 − b − c, b, c) | shares of A, B and C: c = y/c_y, b = x − c·c_x | |

The moving statistics of batch norm are mixed by the same shares if they are kept, so that at A, B and C each network is
itself; a variance is never below zero.

Source: Garipov, Izmailov, Podoprikhin, Vetrov & Wilson, NeurIPS 2018, arXiv:1802.10026 (planes through three minima).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.errors import InputError

Array = NDArray[np.float64]
MARGIN = 0.2  # of the extent of minima and paths, on each side
ON_A_LINE = 1e-6  # of ‖u‖


@dataclass(frozen=True)
class Plane:
    """A plane in the space of weights.

    Args:
        origin: A, [W].
        first:  u, [W].
        second: v, [W].
        third:  (c_x, c_y).
    """

    origin: Array
    first: Array
    second: Array
    third: tuple[float, float]

    @property
    def corners(self) -> Array:
        """Coordinates of A, B and C, [3, 2]."""
        return np.array([(0.0, 0.0), (1.0, 0.0), self.third])

    def point(self, x: float, y: float) -> Array:
        """Return the weights at coordinates, [W]."""
        return self.origin + x * self.first + y * self.second

    def project(self, weights: Array) -> tuple[float, float, float]:
        """Return the coordinates of the nearest point of the plane, and the distance to it, in units of ‖u‖."""
        away, square = weights - self.origin, float(self.first @ self.first)
        x, y = float(away @ self.first) / square, float(away @ self.second) / square
        rest = away - x * self.first - y * self.second
        return x, y, float(np.linalg.norm(rest) / np.sqrt(square))

    def shares(self, x: float, y: float) -> tuple[float, float, float]:
        """Return the shares of A, B and C at coordinates; they sum to 1, and are negative outside the triangle."""
        c = y / self.third[1]
        b = x - c * self.third[0]
        return 1.0 - b - c, b, c


def plane_through(a: Array, b: Array, c: Array) -> Plane:
    """Return the plane through three vectors of weights, [W] each.

    Raises:
        InputError: they lie on a line.

    Examples:
        >>> plane = plane_through(np.zeros(3), np.array([2.0, 0.0, 0.0]), np.array([1.0, 3.0, 0.0]))
        >>> plane.third, plane.point(0.0, 1.0).tolist()
        ((0.5, 1.5), [0.0, 2.0, 0.0])
    """
    first, to_third = b - a, c - a
    length = float(np.linalg.norm(first))
    if not length:
        raise InputError("a plane needs three different minima", received="two equal minima")
    x = float(to_third @ first) / length**2
    across = to_third - x * first
    across -= (float(across @ first) / length**2) * first  # once more: what rounding left
    y = float(np.linalg.norm(across)) / length
    if not y > ON_A_LINE:
        raise InputError("the three minima of a plane must not lie on a line", received=f"a distance of {y:g} ‖B − A‖")
    return Plane(a, first, across / y, (x, y))


def mixed(arrays: Sequence[Mapping[str, Any]], shares: Sequence[float], names: Sequence[str]) -> dict[str, Any]:
    """Return statistics mixed from those of several networks.

    Args:
        arrays: named arrays of each network.
        shares: of each; they sum to 1.
        names:  of the arrays to mix; counters and the like are those of the first network.
    """
    found: dict[str, Any] = {}
    for name in names:
        first = arrays[0][name]
        if not np.issubdtype(np.asarray(first).dtype, np.floating):
            found[name] = first
            continue
        values = [np.asarray(one[name], np.float64) for one in arrays]
        mean = np.sum([share * value for share, value in zip(shares, values, strict=True)], axis=0)
        # Outside of the triangle a share is negative.
        found[name] = np.maximum(mean, 0.0) if name.endswith("variance") else mean
    return found


def axes(places: Array, points: int) -> tuple[Array, Array]:
    """Return the coordinates of a grid that holds all places with a margin.

    Args:
        places: coordinates, [n, 2].
        points: of the longer side; both sides have nearly one spacing.

    Returns:
        those along the first axis, [p], and along the second one, [q].
    """
    low, high = places.min(axis=0), places.max(axis=0)
    margin = MARGIN * float((high - low).max())
    low, high = low - margin, high + margin
    spacing = float((high - low).max()) / (points - 1)
    first, second = (round(extent / spacing) + 1 for extent in high - low)
    return np.linspace(low[0], high[0], first), np.linspace(low[1], high[1], second)
