"""One column of a table: its cells as text and as numbers, whatever they are."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.judging.levels import number_in

_BLANK = {"", "na", "n/a", "<na>", "nat", "none", "null", "-", "–", "—"}  # no number, and no word either
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+")


@dataclass(frozen=True)
class Column:
    """One column: its cells as they were given, as text and as numbers."""

    name: str
    cells: Sequence[Any]

    @cached_property
    def texts(self) -> list[str]:
        """Each cell as text, empty where it holds nothing."""
        return [_text(cell) for cell in self.cells]

    @cached_property
    def stated(self) -> list[float | None]:
        """The number that each cell states, which may be NaN or infinite."""
        return [_number(cell) for cell in self.cells]

    @cached_property
    def numbers(self) -> np.ndarray:
        """Each cell as a finite number, NaN where it is none, float64 [rows]."""
        numbers = np.array([math.nan if number is None else number for number in self.stated], np.float64)
        return np.where(np.isfinite(numbers), numbers, math.nan)

    @cached_property
    def words(self) -> int:
        """Number of cells that hold something and state no number."""
        pairs = zip(self.stated, self.texts, strict=True)
        return sum(number is None and text.lower() not in _BLANK for number, text in pairs)

    @property
    def known(self) -> int:
        """Number of finite numbers."""
        return int(np.isfinite(self.numbers).sum())

    def example(self, rows: np.ndarray) -> str | None:
        """Return the first cell of some rows that is no number but holds something."""
        found = (self.texts[row] for row in np.flatnonzero(rows & np.isnan(self.numbers)) if self.texts[row])
        return next((printable(text, 40) for text in found), None)

    def require_numbers(self) -> None:
        """Raise InputError where every cell that holds something is a word."""
        if self.known or not self.words:
            return
        example = self.example(np.ones(len(self.cells), bool)) or ""
        advice = "Write a point before decimals: 0.5." if _DECIMAL_COMMA.fullmatch(example) else None
        raise InputError(f"column {self.name!r} must hold numbers", received=example, advice=advice)


def _text(cell: Any) -> str:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    return cell.strip() if isinstance(cell, str) else str(cell)


def _number(cell: Any) -> float | None:
    """Return the number that a cell is or states; truth values are none."""
    if isinstance(cell, str):
        return number_in(cell)
    try:
        return None if cell is None or isinstance(cell, bool | np.bool_) else float(cell)
    except (TypeError, ValueError, OverflowError):
        return None
