"""Which rows of a table are replicates, which are averaged: those that agree on all axes and differ in the seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from infomcr_cli.judging.ties import levels_of
from infomcr_cli.report.columns import CONVENTION, DIRECTION, RANKED, REPLICATE, STD_ERROR, Column, why_no_measure

Table = Mapping[str, Column]
_EQUAL_SEEDS = "Rows that agree on all axes have the same seed, so they are not averaged: each row is a minimum."


def seed_column(table: Table, axes: Collection[str]) -> str | None:
    """Return the column that numbers replicates; None if there is none or it is an axis."""
    return next((name for name in table if name.lower() == REPLICATE and name not in axes), None)


def has_replicates(table: Table, axes: Sequence[str], kept: np.ndarray, no_axes: Collection[str]) -> bool:
    """Return whether rows that agree on all axes are averaged.

    They are if there is a column `seed`, unless such rows have the same seed. In a table of `compare --csv` these are
    copies of a run if no hyperparameter is left out, because it has a column for every setting that differs.

    Args:
        kept:    rows that are ranked, bool [rows].
        no_axes: columns that are not hyperparameters, such as the gap and the measures that the user named.
    """
    seed = seed_column(table, axes)
    if seed is None:
        return False
    same = _combinations([table[name] for name in (*axes, seed)], _rows(table[seed], kept))
    return len(set(same)) == len(same) or (RANKED in table and omitted_axis(table, axes, kept, no_axes) is None)


def note_on_seeds(table: Table, axes: Sequence[str], kept: np.ndarray, no_axes: Collection[str]) -> list[str]:
    """Return why rows that agree on all axes are not averaged, which `has_replicates` says; nothing without a seed."""
    if seed_column(table, axes) is None:
        return []
    name = omitted_axis(table, axes, kept, no_axes)
    return [_EQUAL_SEEDS + (f" They differ in {name!r}: if it is a hyperparameter, add it to --axes." if name else "")]


def omitted_axis(table: Table, axes: Sequence[str], kept: np.ndarray, no_axes: Collection[str]) -> str | None:
    """Return a column that looks like a hyperparameter that is not among the axes; None if there is none.

    Rows with the same axes and seed differ in it, and each of its values occurs in several rows.
    """
    seed = seed_column(table, axes)
    if seed is None:
        return None
    rows = _rows(table[seed], kept)
    same = _combinations([table[name] for name in (*axes, seed)], rows)
    others = [name for name in table if name not in (seed, *axes, *no_axes) and not _is_described(name, table)]
    omitted = {name: kinds for name in others if (kinds := _kinds(_combinations([table[name]], rows), same))}
    return min(omitted, key=lambda one: omitted[one], default=None)


def _rows(seed: Column, kept: np.ndarray) -> list[int]:
    """Return the ranked rows that have a seed."""
    return [row for row in np.flatnonzero(kept).tolist() if seed.texts[row]]


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
