"""Rank the measures of a table that was made elsewhere: a CSV file or a DataFrame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infomcr_cli.errors import InputError
from infomcr_cli.judging.result import DIRECTIONS, MOST_IMAGES
from infomcr_cli.report.columns import check_max_train_loss
from infomcr_cli.report.csv_reader import clean_name, read_table

if TYPE_CHECKING:
    import pandas as pd

    from infomcr_cli.judging.minima import Minima
    from infomcr_cli.judging.result import RankingResult

_OWN_ERROR_GAPS = ("gap_error", "test_error")  # of `compare --csv`: differences of error rates, so at least −1


def judge(
    frame: pd.DataFrame,
    *,
    gap: str,
    axes: Sequence[str],
    measures: Sequence[str] | None = None,
    n_test: int | None = None,
    seed: int = 0,
    directions: Mapping[str, str] | None = None,
    max_train_loss: float | None = None,
    by_family: bool = False,
    rank_by: str = "kendall_tau",
    resamples: int = 2000,
) -> RankingResult:
    """Rank every measure of a table by how it orders the gap.

    Args:
        frame:      one row for each run. A column `seed` that is not an axis numbers replicates: rows that agree on all
                    axes are averaged.
        gap:        column of the generalization gap.
        axes:       columns of the hyperparameters that were varied.
        measures:   columns to rank; None: all that hold numbers and are not scores, costs or numbers of rows.
        n_test:     size of the test set, for the weights of the sign error; None: that of the column `n_test`, if any.
        seed:       of simulated differences, of sampled pairs and of the control measures.
        directions: measure → "lower" or "higher" (is better), for the order and oriented values. None: what the columns
                    `NAME direction` say, else lower.
        max_train_loss: leave out rows with a higher value, or none, in the column `train_loss`.
        by_family:  look up the family of each measure.
        rank_by:    the statistic that orders the measures and that differences from the best are of; the differences
                    are of τ if it has no interval, as K and the sign error.
        resamples:  number of simulated differences between measures.

    Raises:
        InputError: a column is absent, holds no numbers or has two roles, a direction is of an unknown measure, or a
            number is out of its range.

    Examples:
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"lr": [1, 2, 3], "gap": [0.1, 0.2, 0.3], "gamma": [-9.0, -7.0, -4.0]})
        >>> judge(frame, gap="gap", axes=["lr"]).measures[0].kendall_tau.value
        1.0
    """
    columns = {str(name): frame.iloc[:, index].tolist() for index, name in enumerate(frame.columns)}
    if len(columns) < len(frame.columns):
        raise InputError("column names must be unique")
    _check_options(gap, axes, measures, n_test)
    if seed < 0:
        raise InputError("seed must be 0 or more", received=seed)
    if resamples < 1:
        raise InputError("resamples must be at least 1", received=resamples)
    return _judge_columns(
        columns,
        gap=gap,
        axes=axes,
        measures=measures,
        n_test=n_test,
        directions=directions or {},
        max_train_loss=max_train_loss,
        by_family=by_family,
        seed=seed,
        rank_by=rank_by,
        resamples=resamples,
    )


def judge_file(
    path: Path,
    *,
    gap: str,
    axes: Sequence[str],
    measures: Sequence[str] | None = None,
    n_test: int | None = None,
    directions: Sequence[str] = (),
    max_train_loss: float | None = None,
    by_family: bool = False,
) -> RankingResult:
    """Rank the measures of a table in a CSV file; see `judge`.

    Args:
        directions: each NAME=lower or NAME=higher.

    Raises:
        InputError: the file cannot be read, is not a table, or lacks a column.
    """
    gap, axes = clean_name(gap), [clean_name(name) for name in axes]
    measures = None if measures is None else [clean_name(name) for name in measures]
    better = {clean_name(name): direction for name, direction in _parse_directions(directions).items()}
    if not axes:
        raise InputError("--axes must name at least one column")
    _check_options(gap, axes, measures, n_test)
    return _judge_columns(
        read_table(path, (gap, *axes, *(measures or ()))),
        gap=gap,
        axes=axes,
        measures=measures,
        n_test=n_test,
        directions=better,
        max_train_loss=max_train_loss,
        by_family=by_family,
    )


def _check_options(gap: str, axes: Sequence[str], measures: Sequence[str] | None, n_test: int | None) -> None:
    """Raise InputError if options cannot be used, whatever the table holds."""
    named = (gap, *axes, *(measures or ()))
    if twice := sorted({name for name in named if named.count(name) > 1}):
        raise InputError("gap, axes and measures must be different columns", received=", ".join(twice))
    if n_test is not None and not 1 <= n_test <= MOST_IMAGES:
        raise InputError(f"n_test must be at least 1 and at most {MOST_IMAGES}", received=n_test)


def _judge_columns(
    columns: Mapping[str, Sequence[Any]],
    *,
    gap: str,
    axes: Sequence[str],
    measures: Sequence[str] | None,
    n_test: int | None,
    directions: Mapping[str, str],
    max_train_loss: float | None,
    by_family: bool,
    **options: Any,
) -> RankingResult:
    # SciPy is imported only now: everything that can be refused without it was refused
    from infomcr_cli.judging.judge import judge_minima
    from infomcr_cli.report.columns import TRAIN_LOSS, Column
    from infomcr_cli.report.table_minima import (
        choose_measures,
        kept_rows,
        recorded_directions,
        smallest_test_set,
        table_minima,
    )
    from infomcr_cli.report.table_replicates import note_on_seeds

    table = {name: Column(name, cells) for name, cells in columns.items()}
    check_max_train_loss(max_train_loss)
    for what, names in (("the gap", [gap]), ("an axis", axes), ("a measure", measures or ())):
        _require_columns(table, what, names)
    if max_train_loss is not None:
        _require_columns(table, "the training loss that --max-train-loss limits", [TRAIN_LOSS])
    chosen, rejected = choose_measures(table, gap, axes) if measures is None else ({m: m for m in measures}, {})
    _require_directions(directions, chosen)
    for name in (gap, *chosen.values()):
        table[name].require_numbers()
    minima = table_minima(table, gap, axes, chosen, rejected, max_train_loss, measures or ())
    ranking = judge_minima(
        minima,
        gap=gap,
        n_test=smallest_test_set(table, kept_rows(table, gap, max_train_loss)) if n_test is None else n_test,
        directions={**recorded_directions(table, chosen), **directions},
        **options,
    )
    equal = []
    if not minima.replicates:
        kept = kept_rows(table, gap, max_train_loss)
        equal = note_on_seeds(table, axes, kept, {gap, TRAIN_LOSS, *(measures or ())})
    ranking = replace(ranking, notes=(*ranking.notes, *equal, *_notes(ranking, minima)))
    if by_family:
        from infomcr_cli.report.ranking_table import measures_by_family

        ranking = replace(ranking, families=measures_by_family(ranking))
    return ranking


def _require_columns(table: Mapping[str, Any], what: str, names: Sequence[str]) -> None:
    for name in names:
        if name not in table:
            raise InputError(f"{what} must be a column of the table", received=name, accepted=table)


def _require_directions(directions: Mapping[str, str], measures: Mapping[str, str]) -> None:
    for name, direction in directions.items():
        if name not in measures:
            raise InputError("--direction must name a ranked measure", received=name, accepted=measures)
        if direction not in DIRECTIONS:
            raise InputError(
                f"the direction of {name} must be lower or higher", received=direction, accepted=DIRECTIONS
            )


def _parse_directions(given: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        name, equals, direction = (part.strip() for part in text.rpartition("="))
        if not equals or direction not in DIRECTIONS:
            received, accepted = (direction, DIRECTIONS) if equals else (text, ())
            raise InputError("--direction must be NAME=lower or NAME=higher", received=received, accepted=accepted)
        if found.setdefault(name, direction) != direction:
            raise InputError("a measure must be given only one direction", received=text)
    return found


def _notes(ranking: RankingResult, minima: Minima) -> list[str]:
    from infomcr_cli.judging.sign_error import BOUNDED_GAP, LOSS_GAP

    notes = []
    if minima.mixed:
        names = ", ".join(sorted(minima.mixed))
        notes.append(f"Values of different conventions are ranked together; they are marked with *: {names}.")
    gap, lowest = ranking.gap, -1 if ranking.gap in _OWN_ERROR_GAPS else 0
    if not ranking.has_sign_error:
        return notes
    if "loss" in gap.lower():
        notes.append(LOSS_GAP)
    elif ((minima.gap < lowest) | (minima.gap > 1)).any():
        notes.append(f"{BOUNDED_GAP}; the gap {gap!r} ranges from {minima.gap.min():.3g} to {minima.gap.max():.3g}.")
    return notes
