"""What a picture shows of which runs, and where: with this the page shows values on hover and links its pictures."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure

POINTS_PER_INCH = 72  # of a coordinate in an SVG
MOST_VALUES = 400  # of a line that a page gives on hover


@dataclass(frozen=True)
class Panel:
    """The place of a panel in its SVG, and its axes.

    Attributes:
        box:  left, top, width and height in the coordinates of the SVG.
        x, y: limits of the axes, in data units: left and right, bottom and top.
        log:  whether each of the two axes is logarithmic.
    """

    box: tuple[float, float, float, float]
    x: tuple[float, float]
    y: tuple[float, float]
    log: tuple[bool, bool]
    labels: tuple[str, str]

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point of the data lies in the SVG."""
        left, top, width, height = self.box
        across, up = (
            _share(value, limits, log) for value, limits, log in zip((x, y), (self.x, self.y), self.log, strict=True)
        )
        return left + across * width, top + (1 - up) * height


@dataclass(frozen=True)
class Mark:
    """A point or a line of a picture.

    Attributes:
        panel: index of its panel.
        runs:  names of the runs that it stands for.
        label: what it is called.
        x, y:  its points, in data units.
        low, high: edges of the band around y; empty: it has none.
        bars:  half-lengths in x and y of the bars of a point; None: it has none.
        note:  what else is shown of it on hover, such as "mean of 3 seeds".
        texts: what is shown at each point in place of x and y, such as the value of a cell of a heat map.
    """

    panel: int
    runs: tuple[str, ...]
    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    bars: tuple[float, float] | None = None
    note: str = ""
    texts: tuple[str, ...] = ()


class MarkedFigure(Figure):
    """A figure that records what its artists stand for.

    The artists of mark 3 are groups `mark-3-0`, `mark-3-1` … of its SVG.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._marks: list[Mark] = []
        self._panels: list[Any] = []

    @property
    def marks(self) -> tuple[Mark, ...]:
        """What was recorded, in this order."""
        return tuple(self._marks)

    def record_panels(self, panels: Iterable[Any]) -> None:
        """Record which axes are the panels, in the order of the indices in marks."""
        self._panels = list(panels)

    def record(self, mark: Mark, artists: Iterable[Artist | None]) -> None:
        """Record what some artists stand for."""
        number = len(self._marks)
        self._marks.append(mark)
        for part, artist in enumerate(one for one in artists if one is not None):
            artist.set_gid(f"mark-{number}-{part}")

    def placed_panels(self) -> tuple[Panel, ...]:
        """Return where the panels are, once the figure was drawn."""
        width, height = (POINTS_PER_INCH * inches for inches in self.get_size_inches())
        return tuple(_panel(axes, width, height) for axes in self._panels)


def kept_positions(count: int) -> np.ndarray:
    """Return which of the values of a long line a page gives on hover, the first and the last among them.

    Examples:
        >>> kept_positions(3).tolist(), len(kept_positions(100_000))
        ([0, 1, 2], 400)
    """
    return np.unique(np.linspace(0, count - 1, MOST_VALUES).round().astype(int))


def numbers(values: Iterable[float], digits: int = 7) -> tuple[float, ...]:
    """Return values with as many significant digits as a reader can want, so that a page stays small."""
    return tuple(float(f"{value:.{digits}g}") for value in values)


def places(panel: Panel, mark: Mark) -> Sequence[tuple[float, float]]:
    """Return where the points of a mark lie in the SVG."""
    return [panel.place(x, y) for x, y in zip(mark.x, mark.y, strict=True)]


def _panel(axes: Any, width: float, height: float) -> Panel:
    box = axes.get_position()
    return Panel(
        (box.x0 * width, (1 - box.y1) * height, box.width * width, box.height * height),
        tuple(map(float, axes.get_xlim())),  # type: ignore[arg-type]
        tuple(map(float, axes.get_ylim())),  # type: ignore[arg-type]
        (axes.get_xscale() == "log", axes.get_yscale() == "log"),
        (_in_one_line(axes.get_xlabel()), _in_one_line(axes.get_ylabel())),
    )


def _in_one_line(label: str) -> str:
    """Return a label of several lines in one; a name was broken after _ or a point, a text at a blank."""
    return re.sub(r"(?<![_.])\n", " ", label).replace("\n", "")


def _share(value: float, limits: tuple[float, float], log: bool) -> float:
    """Return where a value lies between two limits, 0 at the first and 1 at the second."""
    if log:
        value, limits = math.log10(max(value, 1e-300)), (math.log10(limits[0]), math.log10(limits[1]))
    return (value - limits[0]) / (limits[1] - limits[0])
