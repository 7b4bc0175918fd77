"""The columns of a table of runs: their names, which of them are measures, and their cells as text and numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.judging.ties import parse_number

REPLICATE = "seed"
RANKED = "in_verdict"  # false for a run that is not ranked
TEST_SIZE = "n_test"
TRAIN_LOSS = "train_loss"  # a score that is a measure too
STD_ERROR, DIRECTION, CONVENTION = " std_error", " direction", " convention"
MEASURE = "measure "  # prefix of a measure whose name another column has already
UNNAMED = "Unnamed: "  # name of a column without a name, as in pandas

_NO_MEASURES = (
    (re.compile(r"unnamed: .*|index|idx|id|row|run|run_id"), "index"),
    (re.compile(REPLICATE), "seed of replicates"),
    (re.compile(r"test_.*|gap|gap_.*|train_accuracy|train_error"), "score"),
    (re.compile(r"compute|compute_.*"), "cost"),
    (re.compile(f"{RANKED}|{TEST_SIZE}|.*({STD_ERROR}|{DIRECTION}|{CONVENTION})"), "description"),
)
_BLANK = {"", "na", "n/a", "<na>", "nat", "none", "null", "-", "–", "—"}  # neither a number nor a word
_MISSING = ("nan", "<NA>", "NaT")
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+")


def why_no_measure(name: str) -> str | None:
    """Return why a column of that name is not a measure unless the user names it; None if it may be one.

    Examples:
        >>> why_no_measure("test_loss"), why_no_measure("gamma")
        ('score', None)
    """
    return next((reason for pattern, reason in _NO_MEASURES if pattern.fullmatch(name.lower())), None)


def check_max_train_loss(limit: float | None) -> None:
    """Raise unless a limit of the training loss is a finite number, or there is none.

    Raises:
        InputError: it is NaN, which no loss is below, or infinite, which JSON cannot hold.
    """
    if limit is not None and not math.isfinite(limit):
        raise InputError("--max-train-loss must be a finite number", received=limit, advice="Omit it for any loss.")


def column_of(measure: str, axes: Collection[str]) -> str:
    """Return the column in which a measure is written, so that it does not look like an axis or a score.

    Examples:
        >>> column_of("gamma", ["reg.name"]), column_of("compute", ["reg.name"])
        ('gamma', 'measure compute')
    """
    is_used = measure == TRAIN_LOSS or measure in axes or why_no_measure(measure)
    return f"{MEASURE}{measure}" if is_used else measure


def measure_of(column: str, axes: Collection[str]) -> str:
    """Return the measure that a column holds, the inverse of `column_of`."""
    measure = column.removeprefix(MEASURE)
    describes = column.endswith((STD_ERROR, DIRECTION, CONVENTION))
    return measure if column == column_of(measure, axes) and not describes else column


@dataclass(frozen=True)
class Column:
    """One column of a table: its cells as they are given, as text and as numbers."""

    name: str
    cells: Sequence[Any]

    @cached_property
    def texts(self) -> list[str]:
        """Each cell as text, empty for an empty cell."""
        return [_text(cell) for cell in self.cells]

    @cached_property
    def stated(self) -> list[float | None]:
        """The number that each cell states, which may be NaN or infinite."""
        return [_number(cell) for cell in self.cells]

    @cached_property
    def numbers(self) -> np.ndarray:
        """Each cell as a finite number, otherwise NaN, float64 [rows]."""
        numbers = np.array([math.nan if number is None else number for number in self.stated], np.float64)
        return np.where(np.isfinite(numbers), numbers, math.nan)

    @cached_property
    def words(self) -> int:
        """Number of cells that are neither empty nor a number."""
        pairs = zip(self.stated, self.texts, strict=True)
        return sum(number is None and text.lower() not in _BLANK for number, text in pairs)

    @property
    def known(self) -> int:
        """Number of finite numbers."""
        return int(np.isfinite(self.numbers).sum())

    def example(self, rows: np.ndarray) -> str | None:
        """Return the first cell of some rows [rows] that is neither empty nor a number."""
        found = (self.texts[row] for row in np.flatnonzero(rows & np.isnan(self.numbers)) if self.texts[row])
        return next((printable(text, 40) for text in found), None)

    def require_numbers(self) -> None:
        """Raise unless a cell is a number or all cells are empty.

        Raises:
            InputError: every cell that is not empty is a word.
        """
        if self.known or not self.words:
            return
        example = self.example(np.ones(len(self.cells), bool)) or ""
        advice = "Use a decimal point: 0.5." if _DECIMAL_COMMA.fullmatch(example) else None
        raise InputError(f"column {self.name!r} must contain numbers", received=example, advice=advice)


def _text(cell: Any) -> str:
    if cell is None or (not isinstance(cell, str) and str(cell) in _MISSING):
        return ""  # pandas has one for each type: NaN, <NA>, NaT
    return cell.strip() if isinstance(cell, str) else str(cell)


def _number(cell: Any) -> float | None:
    """Return the number that a cell is or states; True and False are not numbers."""
    if isinstance(cell, str):
        return parse_number(cell)
    try:
        return None if cell is None or isinstance(cell, bool | np.bool_) else float(cell)
    except (TypeError, ValueError, OverflowError):
        return None
