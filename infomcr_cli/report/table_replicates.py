"""Which rows of a table are replicates, which are averaged: those that agree on all axes and differ in the seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from infomcr_cli.errors import InputError
from infomcr_cli.judging.ties import levels_of
from infomcr_cli.report.columns import CONVENTION, DIRECTION, RANKED, REPLICATE, STD_ERROR, Column, why_no_measure

Table = Mapping[str, Column]
EQUAL_SEEDS = "Rows that agree on all axes have the same seed, so they are not averaged: each row is a minimum."


def seed_column(table: Table, axes: Collection[str]) -> str | None:
    """Return the column that numbers replicates; None if there is none or it is an axis."""
    return next((name for name in table if name.lower() == REPLICATE and name not in axes), None)


def has_replicates(table: Table, axes: Sequence[str], kept: np.ndarray, no_axes: Collection[str]) -> bool:
    """Return whether rows that agree on all axes are averaged.

    They are if there is a column `seed`, unless such rows have the same seed. In a table of `compare --csv` these are
    copies of a run, because it has a column for every setting that differs.

    Args:
        kept:    rows that are ranked, bool [rows].
        no_axes: columns that are not hyperparameters, such as the gap and the measures that the user named.

    Raises:
        InputError: rows with the same axes and seed differ in a column that looks like a hyperparameter.
    """
    seed = seed_column(table, axes)
    if seed is None:
        return False
    rows = [row for row in np.flatnonzero(kept).tolist() if table[seed].texts[row]]
    same = _combinations([table[name] for name in (*axes, seed)], rows)
    if len(set(same)) == len(same):
        return True
    others = [name for name in table if name not in (seed, *axes, *no_axes) and not _is_described(name, table)]
    if omitted := {name: kinds for name in others if (kinds := _kinds(_combinations([table[name]], rows), same))}:
        name = min(omitted, key=lambda one: omitted[one])
        raise InputError(
            "rows that agree on all axes must differ in the seed",
            received=f"rows of the same seed with different values of {name!r}",
            advice=f"Add {name!r} to the axes. If it is a measure, list the measures.",
        )
    return RANKED in table


def _combinations(columns: Sequence[Column], rows: Sequence[int]) -> list[tuple[int, ...]]:
    """Return the levels that each row has in some columns."""
    levels = [levels_of([column.texts[row] or None for row in rows]).tolist() for column in columns]
    return list(zip(*levels, strict=True))


def _is_described(name: str, table: Table) -> bool:
    """Return whether a column is a score, a cost, an index, or a measure of `compare --csv`."""
    beside = (f"{name}{end}" in table for end in (STD_ERROR, DIRECTION, CONVENTION))
    return why_no_measure(name) is not None or any(beside)


def _kinds(values: Sequence[tuple[int, ...]], same: Sequence[tuple[int, ...]]) -> int:
    """Return how many values a hyperparameter has; 0 unless it varies where it should not, and every value recurs.

    Args:
        values: of the column, in each row.
        same:   axes and seed of each row.
    """
    varies = len(set(zip(values, same, strict=True))) > len(set(same))
    counts = Counter(values)
    return len(counts) if varies and min(counts.values()) > 1 else 0
