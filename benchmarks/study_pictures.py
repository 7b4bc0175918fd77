"""Draw the pictures of docs/study-small again from its tables of runs: python -m benchmarks.study_pictures."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.study_small import KEPT
from infomcr_cli.compare import CompareRequest, compare
from infomcr_cli.config.compose import compose_run
from infomcr_cli.measures.base import chosen_measures
from infomcr_cli.report.columns import STD_ERROR
from infomcr_cli.runs import State, finished, read_status, write_status
from infomcr_cli.runs.lifecycle import create_run
from infomcr_cli.runs.measures_file import Evaluation, record_evaluation

STUDY = Path(__file__).parent.parent / "docs" / "study-small"
N_TRAIN, N_TEST = 400, 5000


def main() -> None:
    """Draw the pictures of each table anew."""
    for table in sorted(STUDY.glob("*/*/runs.csv")):
        print(table)
        _draw(pd.read_csv(table), table.parent)


def _draw(table: pd.DataFrame, folder: Path) -> None:
    """Rank the runs of a table, and keep the pictures that the document shows."""
    with tempfile.TemporaryDirectory() as name:
        for record in table.to_dict("records"):
            row = {str(column): value for column, value in record.items()}
            _make_run(row, Path(name) / "runs" / row["run"])
        plots = Path(name) / "plots"
        compare(CompareRequest((f"{name}/runs",), sort="psi", plots=plots))
        for path in plots.iterdir():
            if path.name in KEPT:
                (folder / path.name).write_bytes(path.read_bytes())


def _make_run(row: Mapping[str, Any], path: Path) -> None:
    """Make the directory of a run that has the settings, the scores and the measures of a row."""
    config = compose_run(["experiment=study_small", "tracking=off", *_overrides(row)])
    run = create_run(config, [], path)
    write_status(run, finished(read_status(run), State.FINISHED))
    evaluation = {
        "checkpoint": "last",
        "train": {"loss": row["train_loss"], "accuracy": row["train_accuracy"]},
        "test": {"loss": row["test_loss"], "accuracy": row["test_accuracy"]},
        "gap": {"error": row["gap_error"], "loss": row["gap_loss"]},
        "n_train": N_TRAIN,
        "n_test": N_TEST,
        "measures": dict(_measures(row)),
    }
    record_evaluation(run, "last", Evaluation.model_validate(evaluation))


def _overrides(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield the settings of a row as overrides, a choice of a group by its name."""
    for name, value in row.items():
        group, dot, setting = name.partition(".")
        if dot:
            yield f"{group}={value}" if setting == "name" else f"{name}={value}"
    yield f"seed={row['seed']}"


def _measures(row: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the measures of a row with the unit and the direction that are registered."""
    for measure in chosen_measures():
        if measure.name in row and pd.notna(row[measure.name]):
            error = row.get(f"{measure.name}{STD_ERROR}")
            yield (
                measure.name,
                {
                    "value": row[measure.name],
                    "std_error": None if pd.isna(error) else error,
                    "unit": measure.unit,
                    "direction": measure.direction,
                },
            )


if __name__ == "__main__":
    main()
