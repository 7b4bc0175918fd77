"""Ties: which numbers are equal, and which values of an axis are one level.

Equal numbers differ in their last bits: 0.8 − 0.7 and 1.0 − 0.9, or the means of 0.1 and 0.7 and of 0.4 and 0.4. If
they were ranked as they are, rounding would decide such ties. So numbers are compared to 12 significant digits. Real
differences are far larger: error gaps on 50,000 and 10,000 images differ by at least 2e-9.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

DIGITS = 12  # significant digits to which numbers are compared
TOLERANCE = 10.0**-DIGITS
_CODE = re.compile(r"[+-]?0\d")  # phases such as 011 are words
_WHOLE = re.compile(r"[+-]?\d{1,300}")
_Value = int | float | str | None


def merge_ties(values: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return values in which neighbours that differ by at most 1e-12 of `scale` are equal; NaN stays NaN.

    Args:
        values: float64 [n].
        scale:  the largest magnitude that each value was computed from, [n].

    Returns:
        float64 [n]; each run of equal numbers takes its smallest value.

    Examples:
        >>> merge_ties(np.array([0.3, 0.1 * 3]), np.array([0.3, 0.3])).tolist()
        [0.3, 0.3]
    """
    known = np.flatnonzero(np.isfinite(values))
    order = known[np.argsort(values[known], kind="stable")]  # [known]
    ascending, sizes = values[order], scale[order]
    with np.errstate(over="ignore"):
        differs = np.diff(ascending) > TOLERANCE * np.maximum(sizes[1:], sizes[:-1])  # [known − 1]
    # index of the first member of the run of equal numbers that each value belongs to, [known]
    first = np.maximum.accumulate(np.where(np.append(True, differs)[: len(order)], np.arange(len(order)), 0))
    equal = values.copy()
    equal[order] = ascending[first]
    return equal


def level_of(column: Sequence[str | None]) -> dict[str | None, int]:
    """Return the level of each distinct text of an axis: numbers in order, then words, then None for a missing value.

    Texts of one number are one level (1 and 1.0). So are numbers that agree to 12 significant digits (0.3 and
    0.30000000000000004), unless both are whole.
    """
    values = {text: _value(text) for text in set(column)}
    levels: dict[str | None, int] = {}
    level, before = -1, ""  # type: int, _Value
    for text, value in sorted(values.items(), key=_order):
        level += not levels or not _same(before, value)
        levels[text], before = level, value
    return levels


def levels_of(column: Sequence[str | None]) -> np.ndarray:
    """Return the level of each row, int64 [n].

    Examples:
        >>> levels_of(["0.3", "off", "0.30000000000000004"]).tolist()
        [0, 1, 0]
    """
    level = level_of(column)
    return np.array([level[text] for text in column], np.int64)


def parse_number(text: str) -> float | None:
    """Return the number that a text states, which may be NaN or infinite; None if it does not state one.

    Examples:
        >>> parse_number("1e-3"), parse_number("1,234.5"), parse_number("1_000")
        (0.001, None, None)
    """
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def _value(text: str | None) -> _Value:
    if text is None or _CODE.match(text):
        return text
    if _WHOLE.fullmatch(text):
        return int(text)
    number = parse_number(text)
    return text if number is None or not math.isfinite(number) else number


def _order(item: tuple[str | None, _Value]) -> tuple[int, int | float, str]:
    """Return the sort key of a text and its value; the text decides between two spellings of one number."""
    text, value = item
    if isinstance(value, int | float):
        return 0, value, text or ""
    return (2, 0, "") if text is None else (1, 0, text)


def _same(one: _Value, other: _Value) -> bool:
    if one == other:
        return True
    if not isinstance(one, int | float) or not isinstance(other, int | float):
        return False
    both_whole = isinstance(one, int) and isinstance(other, int)
    return not both_whole and abs(one - other) <= TOLERANCE * max(abs(one), abs(other))
