"""From a table of runs to the minima that are judged: replicates averaged, axes as levels, numbers as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from infomcr_cli.errors import InputError

REPLICATE = "seed"


@dataclass(frozen=True)
class Minima:
    """The judged minima.

    Attributes:
        gap:      g, finite, float64 [n].
        levels:   index of each axis's value, int64 [n, A].
        axes:     names of the A axes.
        names:    names of the M measures.
        measures: μ, NaN where missing, float64 [n, M].
        rows:     rows of the table that entered, replicates counted.
        dropped:  rows without a gap.
    """

    gap: np.ndarray
    levels: np.ndarray
    axes: tuple[str, ...]
    names: tuple[str, ...]
    measures: np.ndarray
    rows: int
    dropped: int

    @property
    def n(self) -> int:
        """Number of minima."""
        return len(self.gap)


def minima_of(
    frame: pd.DataFrame,
    *,
    gap: str,
    axes: Sequence[str],
    measures: Sequence[str] | None = None,
    average: bool = True,
    gap_decimals: int | None = None,
) -> Minima:
    """Check the columns, leave out rows without a gap, average replicates over the column `seed` unless told not to.

    Infinite values count as missing. A missing axis value is a value of its own. `gap_decimals` rounds the gap, so that
    gaps that are equal but for the last bits of a difference are ties.

    Raises: InputError: a column is absent, named twice or not numeric.
    """
    _require_columns(frame, "the gap", [gap])
    _require_columns(frame, "an axis", axes)
    names = _measure_names(frame, gap, axes, measures)
    _require_numeric(frame, [gap, *names])
    numbers = frame[list(dict.fromkeys([gap, *names]))].astype("float64")
    numbers = numbers.where(np.isfinite(numbers))
    kept = numbers[gap].notna()
    keys, numbers = frame.loc[kept, list(axes)].reset_index(drop=True), numbers[kept].reset_index(drop=True)
    levels = _levels(keys)
    if average and REPLICATE in frame.columns and REPLICATE not in axes:
        levels, numbers = _averaged(levels, numbers)
    return Minima(
        gap=rounded(numbers[gap].to_numpy(), gap_decimals),
        levels=levels,
        axes=tuple(axes),
        names=tuple(names),
        measures=numbers[names].to_numpy().reshape(len(numbers), len(names)),
        rows=int(kept.sum()),
        dropped=int((~kept).sum()),
    )


def rounded(values: np.ndarray, decimals: int | None) -> np.ndarray:
    """Return values rounded to so many decimals, as they are for None; NaN and huge values stay what they are.

    Example: 0.8 − 0.7 and 1.0 − 0.9 differ in their last bits; rounded to 12 decimals both are 0.1.
    """
    return values if decimals is None else np.array([round(value, decimals) for value in values.tolist()], np.float64)


def _require_columns(frame: pd.DataFrame, what: str, names: Sequence[str]) -> None:
    for name in names:
        if name not in frame.columns:
            raise InputError(f"{what} must be a column of the table", received=name, accepted=frame.columns)
    if len(set(names)) < len(names):
        raise InputError(f"{what} must be named once", received=",".join(names))


def _measure_names(frame: pd.DataFrame, gap: str, axes: Sequence[str], measures: Sequence[str] | None) -> list[str]:
    if measures is not None:
        _require_columns(frame, "a measure", measures)
        return list(measures)
    taken = {gap, REPLICATE, *axes}
    return [name for name in frame.columns if name not in taken and _is_numeric(frame[name])]


def _is_numeric(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _require_numeric(frame: pd.DataFrame, names: Sequence[str]) -> None:
    for name in names:
        if not _is_numeric(frame[name]):
            example = frame[name].dropna().astype(str).head(1).to_list()
            raise InputError(f"column {name!r} must hold numbers", received=example[0][:80] if example else "nothing")


def _levels(keys: pd.DataFrame) -> np.ndarray:
    """Return the index of each axis's value in order of appearance, int64 [rows, A]."""
    columns = [pd.factorize(keys[name], use_na_sentinel=False)[0] for name in keys.columns]
    return np.stack(columns, axis=1).astype(np.int64) if columns else np.zeros((len(keys), 0), np.int64)


def _averaged(levels: np.ndarray, numbers: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame]:
    """Return one row for each combination of levels, with the means of its replicates."""
    distinct, first, group = np.unique(levels, axis=0, return_index=True, return_inverse=True)
    means = numbers.groupby(group.ravel()).mean() if len(numbers) else numbers
    means = means.where(np.isfinite(means))
    order = np.argsort(first)
    return distinct[order], means.iloc[order].reset_index(drop=True)
