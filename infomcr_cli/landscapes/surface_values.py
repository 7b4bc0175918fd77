"""Losses and errors of some surfaces on one grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.landscapes.folder import ResultFolder

if TYPE_CHECKING:
    from infomcr_cli.models.score import Score

Array = NDArray[np.float64]
ScorePoint = Callable[[float, float], "Score"]


@dataclass
class SurfaceValues:
    """Losses and errors of some surfaces on one grid.

    Args:
        first:  coordinates along the first direction, [p].
        second: along the second one, [q]; one zero for a curve.
        loss:   mean cross-entropy, nats, [surfaces, p, q]; NaN where it is not computed or not finite.
        error:  share of samples that are misclassified, 0..1, [surfaces, p, q].
        done:   which points are computed, [surfaces, p, q].
        others: further arrays that are kept with them, such as eigenvalues.
    """

    first: Array
    second: Array
    loss: Array
    error: Array
    done: NDArray[np.bool_]
    others: dict[str, Array] = field(default_factory=dict)

    @staticmethod
    def empty(first: Array, second: Array, surfaces: int, others: dict[str, Array]) -> SurfaceValues:
        """Return values of which none is computed."""
        shape = (surfaces, len(first), len(second))
        return SurfaceValues(
            first, second, np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape, bool), others
        )

    def resumed(self, folder: ResultFolder) -> SurfaceValues:
        """Return the values of this grid that a folder kept, or these."""
        found = folder.resume(self.arrays(), same=("first", "second"))
        others = {name: found.pop(name) for name in self.others}
        return SurfaceValues(**found, others=others)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all arrays by the names that they have in `values.npz`."""
        own = {name: getattr(self, name) for name in ("first", "second", "loss", "error", "done")}
        return {**own, **self.others}

    def missing(self, surface: int) -> Iterator[tuple[int, int]]:
        """Yield the points of a surface that are not computed, row by row."""
        yield from ((int(i), int(j)) for i, j in np.argwhere(~self.done[surface]))

    def set(self, surface: int, i: int, j: int, score: Score) -> None:
        """Keep the score of a point."""
        self.loss[surface, i, j] = score.loss if score.is_finite else np.nan
        self.error[surface, i, j] = 1.0 - score.accuracy
        self.done[surface, i, j] = True
