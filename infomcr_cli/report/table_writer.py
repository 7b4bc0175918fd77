"""Write the table of a comparison as a CSV file, which `infomcr judge` judges as `infomcr compare` did."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd

from infomcr_cli.console.text import printable
from infomcr_cli.report.axes import setting_text
from infomcr_cli.report.comparison import Comparison, direction_of, gap_of, measure_names
from infomcr_cli.report.conventions import convention_conflicts
from infomcr_cli.report.evaluated_run import EvaluatedRun
from infomcr_cli.report.output_files import write_whole
from infomcr_cli.report.table_columns import CONVENTION, DIRECTION, STD_ERROR, TRAIN_LOSS, column_of
from infomcr_cli.runs.measures_file import MeasureRecord


def write_table(comparison: Comparison, path: Path) -> None:
    """Write one line for each evaluated run: settings that differ, scores, gaps, compute, each measure and its error.

    Beside a measure stands the column `NAME direction`, and for one that was taken in several ways the column
    `NAME convention`, which says in which way each run's was.

    Raises:
        InputError: the file cannot be written.
    """
    entries = (*comparison.judged, *comparison.apart)
    rows = [_settings_and_scores(comparison, entry) for entry in entries]
    ways = {mixture.measure: mixture.by_run() for mixture in convention_conflicts(entries)}
    for name in measure_names(entries):
        column = _column(name, entries, [axis.name for axis in comparison.axes])
        direction = direction_of(entries, name)
        for row, entry in zip(rows, entries, strict=True):
            row |= _cells(column, _measured(entry, name))
            if direction is not None:
                row[f"{column}{DIRECTION}"] = direction
            if name in ways:
                row[f"{column}{CONVENTION}"] = escape_formula(ways[name].get(entry.name))
    text = StringIO()
    pd.DataFrame([{escape_formula(name): value for name, value in row.items()} for row in rows]).to_csv(
        text, index=False
    )
    write_whole(path, text.getvalue().encode(), "--csv")


def escape_formula(value: Any) -> Any:
    """Return text so that no spreadsheet takes it for a formula."""
    text = printable(value, 10_000) if isinstance(value, str) else value
    return f"'{text}" if isinstance(text, str) and text[:1] in ("=", "+", "-", "@") else text


def _settings_and_scores(comparison: Comparison, entry: EvaluatedRun) -> dict[str, Any]:
    found = entry.evaluation
    assert found is not None
    row: dict[str, Any] = {"run": escape_formula(entry.name), "in_verdict": not entry.missed}
    row |= {axis.name: _setting(entry, axis.name) for axis in comparison.axes}
    row |= {"seed": escape_formula(entry.seed), "train_loss": found.train.loss, "train_accuracy": found.train.accuracy}
    row |= {"test_loss": found.test.loss, "test_accuracy": found.test.accuracy, "n_test": found.n_test}
    row |= {"gap_error": found.gap.error, "gap_loss": found.gap.loss, "test_error": gap_of(found, "test_error")}
    return row | {"compute": entry.compute.epochs if entry.compute else None}


def _setting(entry: EvaluatedRun, name: str) -> Any:
    """Return a setting's value: a number as it is, the rest as text; None where the run has no such setting."""
    text = setting_text(entry.settings, name)
    is_number = isinstance(entry.settings.get(name), int | float) and text not in ("true", "false")
    return text if is_number else escape_formula(text)


def _measured(entry: EvaluatedRun, name: str) -> MeasureRecord:
    found = entry.evaluation.measures.get(name) if entry.evaluation else None
    return found or MeasureRecord()


def _column(name: str, entries: Sequence[EvaluatedRun], axes: Sequence[str]) -> str:
    """Return the column of a measure; the training loss may stand in the table already, as a score."""
    scores = [entry.evaluation.train.loss if entry.evaluation else None for entry in entries]
    is_score = name == TRAIN_LOSS and scores == [_measured(entry, name).value for entry in entries]
    return name if is_score else column_of(name, axes)


def _cells(column: str, measured: MeasureRecord) -> dict[str, Any]:
    cells = {column: measured.value}
    return cells if measured.std_error is None else {**cells, f"{column}{STD_ERROR}": measured.std_error}
