"""`judge`: from a table to a verdict on each of its measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from infomcr_cli.errors import InputError
from infomcr_cli.judging.judge import RESAMPLES, judge_minima
from infomcr_cli.judging.left_out import LeftOut, Missing
from infomcr_cli.judging.levels import levels_of
from infomcr_cli.judging.minima import Minima, missing
from infomcr_cli.judging.result import RankingResult
from infomcr_cli.judging.sign_error import BOUNDED_GAP, LOSS_GAP
from infomcr_cli.report.column import Column
from infomcr_cli.report.table_columns import (
    CONVENTION,
    DIRECTION,
    REPLICATE,
    TEST_SIZE,
    TRAIN_LOSS,
    UNNAMED,
    VERDICT,
    measure_of,
    why_no_measure,
)

if TYPE_CHECKING:
    import pandas as pd

DIRECTIONS = ("lower", "higher")
_OWN_ERROR_GAPS = ("gap_error", "test_error")  # of `compare --csv`: differences of error rates, whatever their sign


def judge(
    frame: pd.DataFrame,
    *,
    gap: str,
    axes: Sequence[str],
    measures: Sequence[str] | None = None,
    n_test: int | None = None,
    seed: int = 0,
    directions: Mapping[str, str] | None = None,
    rank_by: str = "kendall_tau",
    resamples: int = RESAMPLES,
) -> RankingResult:
    """Judge every measure of a table by how it ranks the gap.

    Args:
        frame:      one row for each run. A column `seed` that is not an axis numbers replicates, which are averaged.
        gap:        column of the generalization gap.
        axes:       columns of the hyperparameters that were varied.
        measures:   columns to judge; None: all that hold numbers and are not scores, costs or numbers of rows.
        n_test:     size of the test set, for the weights of the sign error; None: that of the column `n_test`, if any.
        seed:       of the bootstrap, of sampled pairs and of the reference rows.
        directions: measure → "lower" or "higher" (is better); decides the order alone. None: what the columns
                    `NAME direction` say, else lower.
        rank_by:    the statistic that orders the measures and that differences from the best are taken of.
        resamples:  B.

    Raises:
        InputError: a column is absent or holds no numbers, a direction is of no measure, `n_test` is below 1.

    Example: judge(frame, gap="gap", axes=["width", "lr"], n_test=10_000).to_dict()
    """
    columns = {str(name): frame.iloc[:, index].tolist() for index, name in enumerate(frame.columns)}
    if len(columns) < len(frame.columns):
        raise InputError("the columns of the table must have names of their own")
    return judge_columns(
        columns,
        gap=gap,
        axes=axes,
        measures=measures,
        n_test=n_test,
        seed=seed,
        directions=directions,
        rank_by=rank_by,
        resamples=resamples,
    )


def judge_columns(
    columns: Mapping[str, Sequence[Any]],
    *,
    gap: str,
    axes: Sequence[str],
    measures: Sequence[str] | None = None,
    n_test: int | None = None,
    directions: Mapping[str, str] | None = None,
    seed: int = 0,
    rank_by: str = "kendall_tau",
    resamples: int = RESAMPLES,
) -> RankingResult:
    """Judge the measures of a table that is given as columns of one length; see `judge`."""
    table = {name: Column(name, cells) for name, cells in columns.items()}
    _require_columns(table, "the gap", [gap])
    _require_columns(table, "an axis", axes)
    _require_columns(table, "a measure", measures or ())
    chosen, no_measures = _measures(table, gap, axes, measures)
    _require_directions(directions or {}, chosen)
    for name in (gap, *chosen.values()):
        table[name].require_numbers()
    runs = _runs(table, gap, axes, chosen, no_measures)
    verdict = judge_minima(
        runs,
        gap=gap,
        n_test=_test_size(table) if n_test is None else n_test,
        seed=seed,
        directions={**_recorded_directions(table, chosen), **(directions or {})},
        rank_by=rank_by,
        resamples=resamples,
    )
    return replace(verdict, notes=(*verdict.notes, *_notes(gap, runs)))


def _require_columns(table: Mapping[str, Column], what: str, names: Sequence[str]) -> None:
    for name in names:
        if name not in table:
            raise InputError(f"{what} must be a column of the table", received=name, accepted=table)
    if len(set(names)) < len(names):
        raise InputError(f"{what} must be named once", received=",".join(names))


def _measures(
    table: Mapping[str, Column], gap: str, axes: Sequence[str], named: Sequence[str] | None
) -> tuple[dict[str, str], dict[str, str]]:
    """Return measure → its column, and column → why it is not a measure."""
    if named is not None:
        return {name: name for name in named}, {}
    chosen: dict[str, str] = {}
    no_measures: dict[str, str] = {}
    for name, column in table.items():
        if name in (gap, *axes) or (name.startswith(UNNAMED) and not any(column.texts)):
            continue
        measure = measure_of(name, axes)
        reason = _why_no_measure(column, table) if measure == name else None
        if reason is None and column.known and not np.isfinite(column.numbers[_in_verdict(table)]).any():
            reason = "known outside the verdict alone"
        if reason:
            no_measures[name] = reason
        else:
            chosen[measure] = name  # "measure train_loss" comes after the score and takes its place
    return chosen, no_measures


def _why_no_measure(column: Column, table: Mapping[str, Column]) -> str | None:
    if reason := why_no_measure(column.name):
        return reason
    if column.name == TRAIN_LOSS and "training_loss" in table:  # the same measure under its other name
        return "score"
    if column.words > column.known:
        example = column.example(np.ones(len(column.cells), bool))
        return f"{'mostly words' if column.known else 'words'} such as {example!r}"
    return None


def _require_directions(directions: Mapping[str, str], measures: Mapping[str, str]) -> None:
    for name, direction in directions.items():
        if name not in measures:
            raise InputError("a direction must be of a measure that is judged", received=name, accepted=measures)
        if direction not in DIRECTIONS:
            raise InputError(f"the better direction of {name} must be known", received=direction, accepted=DIRECTIONS)


def _runs(
    table: Mapping[str, Column], gap: str, axes: Sequence[str], measures: Mapping[str, str], no: Mapping[str, str]
) -> Minima:
    """Return the rows that have a gap and are in the verdict, and a record of what is left out."""
    inside = _in_verdict(table)
    kept = inside & np.isfinite(table[gap].numbers)
    chosen = {measure: table[column] for measure, column in measures.items()}
    values = np.array([column.numbers[kept] for column in chosen.values()]).T.reshape(int(kept.sum()), len(chosen))
    without = missing(values, list(chosen))
    return Minima(
        gap=table[gap].numbers[kept],
        levels=np.array([_levels(table[axis], kept) for axis in axes], np.int64).T.reshape(len(values), len(axes)),
        axes=tuple(axes),
        names=tuple(chosen),
        measures=values,
        rows=len(values),
        replicates=any(name.lower() == REPLICATE and name not in axes for name in table),
        mixed=frozenset(name for name in chosen if _is_mixed(table, measures[name], kept)),
        left_out=LeftOut(
            without_gap=Missing(int((inside & ~kept).sum()), table[gap].example(inside)),
            not_in_verdict=int((~inside).sum()),
            measures={name: Missing(one.rows, chosen[name].example(kept)) for name, one in without.items()},
            columns=no,
        ),
    )


def _in_verdict(table: Mapping[str, Column]) -> np.ndarray:
    """Return the rows that the table does not mark as outside the verdict, bool [rows]."""
    if VERDICT not in table:
        return np.ones(len(next(iter(table.values())).cells), bool)
    return np.array([text.lower() not in ("false", "0") for text in table[VERDICT].texts], bool)


def _levels(axis: Column, kept: np.ndarray) -> np.ndarray:
    return levels_of([axis.texts[row] or None for row in np.flatnonzero(kept)])


def _is_mixed(table: Mapping[str, Column], column: str, kept: np.ndarray) -> bool:
    """Return whether the column `NAME convention` names several for the rows that have a value."""
    ways = table.get(f"{column}{CONVENTION}")
    known = np.flatnonzero(kept & np.isfinite(table[column].numbers))
    return ways is not None and len({ways.texts[row] for row in known}) > 1


def _recorded_directions(table: Mapping[str, Column], measures: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for measure, column in measures.items():
        said = table[f"{column}{DIRECTION}"].texts if f"{column}{DIRECTION}" in table else []
        if (direction := next((text for text in said if text in DIRECTIONS), None)) is not None:
            found[measure] = direction
    return found


def _test_size(table: Mapping[str, Column]) -> int | None:
    """Return the smallest test set that the column `n_test` names for a row in the verdict."""
    if TEST_SIZE not in table:
        return None
    sizes = table[TEST_SIZE].numbers
    sizes = sizes[_in_verdict(table) & (sizes >= 1)]
    return int(sizes.min()) if len(sizes) else None


def _notes(gap: str, runs: Minima) -> list[str]:
    notes = []
    if runs.mixed:
        names = ", ".join(sorted(runs.mixed))
        notes.append(f"Numbers of different conventions are ranked together; they are marked with *: {names}.")
    lowest = -1 if gap in _OWN_ERROR_GAPS else 0
    if "loss" in gap.lower():
        notes.append(LOSS_GAP)
    elif ((runs.gap < lowest) | (runs.gap > 1)).any():
        notes.append(f"{BOUNDED_GAP}; the gap {gap!r} goes from {runs.gap.min():.3g} to {runs.gap.max():.3g}.")
    return notes
