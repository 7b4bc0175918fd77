"""The levels of an axis: which of its values are one value, and their order."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from infomcr_cli.judging.minima import TOLERANCE

_CODE = re.compile(r"[+-]?0\d")  # phases such as 011 are words
_WHOLE = re.compile(r"[+-]?\d{1,300}")
Value = int | float | str | None


def level_of(column: Sequence[str | None]) -> dict[str | None, int]:
    """Return the level of each distinct text of an axis: numbers in order, then words, then None for no value.

    Texts of one number are one level (1 and 1.0), and so are numbers that agree to 12 significant digits (0.3 and
    0.30000000000000004), unless both are whole.
    """
    values = {text: _value(text) for text in set(column)}
    levels: dict[str | None, int] = {}
    level, before = -1, ""  # type: int, Value
    for text, value in sorted(values.items(), key=_order):
        level += not levels or not _same(before, value)
        levels[text], before = level, value
    return levels


def levels_of(column: Sequence[str | None]) -> np.ndarray:
    """Return the level of each row, int64 [n].

    Example: levels_of(["0.3", "off", "0.30000000000000004"]) is [0, 1, 0].
    """
    level = level_of(column)
    return np.array([level[text] for text in column], np.int64)


def number_in(text: str) -> float | None:
    """Return the number that a text states, which may be NaN or infinite; None where it states none.

    Example: number_in("1e-3") is 0.001; number_in("1,234.5") and number_in("1_000") are None.
    """
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def _value(text: str | None) -> Value:
    if text is None or _CODE.match(text):
        return text
    if _WHOLE.fullmatch(text):
        return int(text)
    number = number_in(text)
    return text if number is None or not math.isfinite(number) else number


def _order(item: tuple[str | None, Value]) -> tuple[int, int | float, str]:
    text, value = item
    if isinstance(value, int | float):
        return 0, value, text or ""
    return (2, 0, "") if text is None else (1, 0, text)


def _same(one: Value, other: Value) -> bool:
    if one == other:
        return True
    if not isinstance(one, int | float) or not isinstance(other, int | float):
        return False
    both_whole = isinstance(one, int) and isinstance(other, int)
    return not both_whole and abs(one - other) <= TOLERANCE * max(abs(one), abs(other))
