"""Curves of runs that differ only in their seed: one line for their mean, and a band around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Line = tuple[np.ndarray, np.ndarray]  # positions and values, [n] each
MOST_OF_RANGE = 4  # seeds up to which the band is their range: they are too few for a standard deviation
_RANGE = "minimum to maximum of 2 to 4 seeds"
_DEVIATION = "± one standard deviation over 5 seeds or more, clipped to their minimum and maximum"


@dataclass(frozen=True)
class Curve:
    """A line of a panel, [n] positions.

    Attributes:
        runs:      names of the runs that it stands for.
        x, y:      positions; values, of several runs their mean.
        low, high: edges of the band; None for a single run.
        is_cut:    one of the runs goes on where another has ended, and the mean does not.
    """

    runs: tuple[str, ...]
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    is_cut: bool = False

    @property
    def note(self) -> str:
        """What the curve is, if it is not a run's own."""
        return f"mean of {len(self.runs)} seeds" if len(self.runs) > 1 else ""


def curves_of_groups(groups: Sequence[Sequence[str]], lines: Mapping[str, Line]) -> list[Curve]:
    """Return a curve for each group of runs that differ only in their seed.

    Args:
        groups: names of runs; those without a line are skipped.
        lines:  run → line. Positions at which one run of a group has no value are left out of its mean; a group
                without two common positions is drawn run by run.
    """
    curves: list[Curve] = []
    for group in groups:
        names = [name for name in group if name in lines and len(lines[name][0])]
        mean = mean_curve({name: lines[name] for name in names}) if len(names) > 1 else None
        curves += [Curve((name,), *lines[name]) for name in names] if mean is None else [mean]
    return curves


def mean_curve(lines: Mapping[str, Line]) -> Curve | None:
    """Return the mean of some lines at the positions that they share, with its band; None without two of them.

    The band reaches from the smallest to the largest value of 2 to 4 lines. Of 5 lines or more it is one standard
    deviation (divisor n − 1) to each side, but never past the smallest and the largest value: so it stays positive
    where all values are, on a logarithmic axis.
    """
    values = {name: dict(zip(*line, strict=True)) for name, line in lines.items()}
    shared = sorted(set.intersection(*map(set, values.values())))
    if len(shared) < 2:
        return None
    table = np.array([[own[position] for position in shared] for own in values.values()])  # [runs, n]
    mean, low, high = table.mean(axis=0), table.min(axis=0), table.max(axis=0)  # [n]
    if len(table) > MOST_OF_RANGE:
        deviation = table.std(axis=0, ddof=1)
        low, high = np.maximum(low, mean - deviation), np.minimum(high, mean + deviation)
    is_cut = any(max(own) > shared[-1] for own in values.values())
    return Curve(tuple(lines), np.array(shared), mean, low, high, is_cut)


def band_notes(curves: Sequence[Curve]) -> list[str]:
    """Return what lines and bands are, if there are bands, in a sentence or two."""
    sizes = [len(one.runs) for one in curves if one.low is not None]
    if not sizes:
        return []
    kinds = [_RANGE] if min(sizes) <= MOST_OF_RANGE else []
    kinds += [_DEVIATION] if max(sizes) > MOST_OF_RANGE else []
    cut = ["A mean ends where its shortest run ends."] if any(one.is_cut for one in curves) else []
    return [f"Line: mean over seeds. Band: {'; '.join(kinds)}.", *cut]
