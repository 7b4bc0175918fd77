"""Write the table of a comparison as a CSV file, from which `infomcr judge` computes the statistics again."""

from __future__ import annotations

import csv
from io import StringIO
from pathlib import Path
from typing import Any

from infomcr_cli.console.text import printable
from infomcr_cli.report.axes import setting_text
from infomcr_cli.report.columns import CONVENTION, DIRECTION, RANKED, STD_ERROR, TRAIN_LOSS, column_of
from infomcr_cli.report.comparison import Comparison
from infomcr_cli.report.conventions import convention_conflicts, direction_of
from infomcr_cli.report.evaluated_run import EvaluatedRun, measure_names
from infomcr_cli.report.output_files import write_whole


def write_table(comparison: Comparison, path: Path) -> None:
    """Write one line for each evaluated run: settings that differ, scores, gaps, compute, measures with errors.

    A measure has beside it the column `NAME direction` and, if its numbers are of several conventions, the column
    `NAME convention`, which says what distinguishes that of each run.

    Raises:
        InputError: the file cannot be written.
    """
    runs = (*comparison.included, *comparison.excluded)
    rows = [_settings_and_scores(comparison, run) for run in runs]
    conventions = {conflict.measure: conflict.by_run() for conflict in convention_conflicts(runs)}
    for name in measure_names(runs):
        # The training loss may already be in the table, as a score.
        is_score = name == TRAIN_LOSS and all(run.value(name) == run.evaluation.train.loss for run in runs)
        column = name if is_score else column_of(name, [axis.name for axis in comparison.axes])
        direction = direction_of(runs, name)
        for row, run in zip(rows, runs, strict=True):
            row[column] = run.value(name)
            if name in run.evaluation.measures and (error := run.evaluation.measures[name].std_error) is not None:
                row[f"{column}{STD_ERROR}"] = error
            if direction is not None:
                row[f"{column}{DIRECTION}"] = direction
            if name in conventions:
                row[f"{column}{CONVENTION}"] = escape_formula(conventions[name].get(run.name))
    lines = [{escape_formula(name): value for name, value in row.items()} for row in rows]
    text = StringIO()
    table = csv.DictWriter(text, dict.fromkeys(name for line in lines for name in line), lineterminator="\n")
    table.writeheader()
    table.writerows(lines)
    write_whole(path, text.getvalue().encode(), "--csv")


def escape_formula(value: Any) -> Any:
    """Return text that a spreadsheet does not take for a formula; other values stay as they are.

    Examples:
        >>> escape_formula("=SUM(A1)"), escape_formula(-1.5)
        ("'=SUM(A1)", -1.5)
    """
    text = printable(value, 10_000) if isinstance(value, str) else value
    return f"'{text}" if isinstance(text, str) and text[:1] in ("=", "+", "-", "@") else text


def _settings_and_scores(comparison: Comparison, run: EvaluatedRun) -> dict[str, Any]:
    train, test = run.evaluation.train, run.evaluation.test
    return {
        "run": escape_formula(run.name),
        RANKED: run.is_ranked,
        **{axis.name: _setting(run, axis.name) for axis in comparison.axes},
        "seed": escape_formula(run.seed),
        "train_loss": train.loss,
        "train_accuracy": train.accuracy,
        "test_loss": test.loss,
        "test_accuracy": test.accuracy,
        "n_test": run.evaluation.n_test,
        "gap_error": run.gap("error"),
        "gap_loss": run.gap("loss"),
        "test_error": run.gap("test_error"),
        f"gap_error{STD_ERROR}": run.gap_std_error("error"),
        f"test_error{STD_ERROR}": run.gap_std_error("test_error"),
        "compute": run.compute.epochs if run.compute else None,
    }


def _setting(run: EvaluatedRun, name: str) -> Any:
    """Return a setting's value: a number as it is, the rest as text; None if the run has no such setting."""
    text = setting_text(run.settings, name)
    is_number = isinstance(run.settings.get(name), int | float) and text not in ("true", "false")
    return text if is_number else escape_formula(text)
