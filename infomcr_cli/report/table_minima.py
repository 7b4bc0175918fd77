"""From the columns of a table to the minima that are ranked: which columns are measures, which rows count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from infomcr_cli.errors import InputError
from infomcr_cli.judging.left_out import LeftOut, Missing
from infomcr_cli.judging.minima import Minima, missing_values
from infomcr_cli.judging.result import DIRECTIONS, MOST_IMAGES
from infomcr_cli.judging.ties import levels_of
from infomcr_cli.report.columns import (
    CONVENTION,
    DIRECTION,
    RANKED,
    TEST_SIZE,
    TRAIN_LOSS,
    UNNAMED,
    Column,
    measure_of,
    why_no_measure,
)
from infomcr_cli.report.table_replicates import has_replicates

Table = Mapping[str, Column]


def choose_measures(table: Table, gap: str, axes: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return measure → its column, and column → why it is not a measure."""
    chosen: dict[str, str] = {}
    rejected: dict[str, str] = {}
    for name, column in table.items():
        if name in (gap, *axes) or (name.startswith(UNNAMED) and not any(column.texts)):
            continue
        measure = measure_of(name, axes)
        reason = _why_no_measure(column, table) if measure == name else None
        if reason is None and column.known and not np.isfinite(column.numbers[_ranked_rows(table)]).any():
            reason = "known only for runs that are not ranked"
        if reason:
            rejected[name] = reason
        else:
            chosen[measure] = name  # "measure train_loss" comes after the score and replaces it
    return chosen, rejected


def table_minima(
    table: Table,
    gap: str,
    axes: Sequence[str],
    measures: Mapping[str, str],
    rejected: Mapping[str, str],
    max_train_loss: float | None = None,
    named: Sequence[str] = (),
) -> Minima:
    """Return the rows that have a gap, are marked as ranked and fit well enough, and a record of what is left out.

    Args:
        measures: measure → its column.
        rejected: column → why it is not a measure.
        max_train_loss: of the column `train_loss`; None: any, and there need not be such a column.
        named:    columns that the user names as measures.
    """
    marked, inside = _ranked_rows(table), rows_inside(table, max_train_loss)
    kept = kept_rows(table, gap, max_train_loss)
    rows, columns = int(kept.sum()), {measure: table[column] for measure, column in measures.items()}
    # [M, n] -> [n, M], also for M = 0
    values = np.array([column.numbers[kept] for column in columns.values()]).T.reshape(rows, len(columns))
    texts = [[table[axis].texts[row] or None for row in np.flatnonzero(kept)] for axis in axes]
    missing = missing_values(values, list(columns))
    return Minima(
        gap=table[gap].numbers[kept],
        levels=np.array([levels_of(column) for column in texts], np.int64).T.reshape(rows, len(axes)),  # [n, A]
        axes=tuple(axes),
        names=tuple(columns),
        measures=values,
        rows=rows,
        replicates=has_replicates(table, axes, kept, {gap, TRAIN_LOSS, *named}),
        mixed=frozenset(name for name in columns if _is_mixed(table, measures[name], kept)),
        left_out=LeftOut(
            without_gap=Missing(int((inside & ~kept).sum()), table[gap].example(inside)),
            marked=int((~marked).sum()),
            high_loss=int((marked & ~inside).sum()),
            max_train_loss=max_train_loss,
            measures={name: Missing(one.rows, columns[name].example(kept)) for name, one in missing.items()},
            columns=rejected,
        ),
    )


def recorded_directions(table: Table, measures: Mapping[str, str]) -> dict[str, str]:
    """Return the directions that the columns `NAME direction` state; `measures` is measure → its column."""
    found = {}
    for measure, column in measures.items():
        texts = table[f"{column}{DIRECTION}"].texts if f"{column}{DIRECTION}" in table else []
        words = dict.fromkeys(text.lower() for text in texts if text)
        if (unknown := next((word for word in words if word not in DIRECTIONS), None)) is not None:
            raise InputError(
                f"the column {column}{DIRECTION} must state directions", received=unknown, accepted=DIRECTIONS
            )
        if words:
            found[measure] = next(iter(words))
    return found


def smallest_test_set(table: Table, rows: np.ndarray) -> int | None:
    """Return the smallest size of a test set in the column `n_test`, over the rows that are ranked, bool [rows]."""
    if TEST_SIZE not in table:
        return None
    sizes = table[TEST_SIZE].numbers
    sizes = sizes[rows & (sizes >= 1) & (sizes <= MOST_IMAGES)]
    return int(sizes.min()) if len(sizes) else None


def _why_no_measure(column: Column, table: Table) -> str | None:
    if reason := why_no_measure(column.name):
        return reason
    if column.name == TRAIN_LOSS and "training_loss" in table:  # the same measure by its other name
        return "score"
    if column.words > column.known:
        example = column.example(np.ones(len(column.cells), bool))
        return f"{'mostly words' if column.known else 'words'} such as {example!r}"
    return None


def _ranked_rows(table: Table) -> np.ndarray:
    """Return the rows that the table does not exclude in the column `in_verdict`, bool [rows]."""
    if RANKED not in table:
        return np.ones(len(next(iter(table.values())).cells), bool)
    return np.array([text.lower() not in ("false", "0") for text in table[RANKED].texts], bool)


def kept_rows(table: Table, gap: str, max_train_loss: float | None) -> np.ndarray:
    """Return the rows that are ranked: those of `rows_inside` that have a gap, bool [rows]."""
    kept: np.ndarray = rows_inside(table, max_train_loss) & np.isfinite(table[gap].numbers)
    return kept


def rows_inside(table: Table, max_train_loss: float | None) -> np.ndarray:
    """Return the rows that are marked as ranked and whose training loss is at most `max_train_loss`, bool [rows]."""
    marked = _ranked_rows(table)
    return marked if max_train_loss is None else marked & (table[TRAIN_LOSS].numbers <= max_train_loss)


def _is_mixed(table: Table, column: str, kept: np.ndarray) -> bool:
    """Return whether the column `NAME convention` names several for the rows that have a value."""
    conventions = table.get(f"{column}{CONVENTION}")
    known = np.flatnonzero(kept & np.isfinite(table[column].numbers))
    return conventions is not None and len({conventions.texts[row] for row in known}) > 1
