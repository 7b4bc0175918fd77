"""The columns of a table of runs: which of them are measures, and how those that `compare --csv` writes are called."""

from __future__ import annotations

import re
from collections.abc import Collection

REPLICATE = "seed"
VERDICT = "in_verdict"
TEST_SIZE = "n_test"
TRAIN_LOSS = "train_loss"  # a score that is a measure too
STD_ERROR, DIRECTION, CONVENTION = " std_error", " direction", " convention"
MEASURE = "measure "  # before the name of a measure that another column has already
UNNAMED = "Unnamed: "  # pandas' name for a column without one, and ours

_NO_MEASURES = (
    (re.compile(r"unnamed: .*|index|idx|id|row|run|run_id"), "index"),
    (re.compile(REPLICATE), "seed of replicates"),
    (re.compile(r"test_.*|gap|gap_.*|train_accuracy|train_error"), "score"),
    (re.compile(r"compute"), "cost"),
    (re.compile(f"{VERDICT}|{TEST_SIZE}|.*({STD_ERROR}|{DIRECTION}|{CONVENTION})"), "description"),
)


def why_no_measure(name: str) -> str | None:
    """Return why a column of that name is not a measure unless the user says so, None where it may be one."""
    return next((reason for pattern, reason in _NO_MEASURES if pattern.fullmatch(name.lower())), None)


def column_of(measure: str, axes: Collection[str]) -> str:
    """Return the column in which a measure is written, so that it is not taken for an axis or a score."""
    taken = measure == TRAIN_LOSS or measure in axes or why_no_measure(measure)
    return f"{MEASURE}{measure}" if taken else measure


def measure_of(column: str, axes: Collection[str]) -> str:
    """Return the measure that a column holds: `column_of` the other way round."""
    measure = column.removeprefix(MEASURE)
    describes = column.endswith((STD_ERROR, DIRECTION, CONVENTION))
    return measure if column == column_of(measure, axes) and not describes else column
