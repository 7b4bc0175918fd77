"""Numbers as they are shown: to the digits that their error allows."""

from __future__ import annotations

import math

from infomcr_cli.report.tables import NONE, format_number

DIGITS = 4  # of a number without an error
MOST_DECIMALS = 5  # more are shown as a power of ten


def with_error(value: float | None, error: float | None) -> str:
    """Return a number with its standard error, to the digits that the error allows.

    Examples:
        >>> with_error(-378.19, 8.07), with_error(0.1765, 0.0398), with_error(12.345, None)
        ('-378 ± 8', '0.18 ± 0.04', '12.3')
    """
    if value is None or not error or not math.isfinite(error) or not math.isfinite(value):
        return format_number(value)
    decimals = decimals_of(error)
    return f"{_fixed(value, decimals)} ± {_fixed(error, decimals)}"


def decimals_of(error: float) -> int:
    """Return the decimal place of the first digit of an error; it is negative for tens and hundreds.

    Examples:
        >>> decimals_of(0.04), decimals_of(8.0), decimals_of(250.0)
        (2, 0, -2)
    """
    return -math.floor(math.log10(abs(error)))


def to_error(value: float | None, error: float | None) -> str:
    """Return a number to the digits that an error allows; without an error to four digits, whole numbers in full.

    Examples:
        >>> to_error(-378.19, 8.07), to_error(1.23456e-7, 3e-9), to_error(77560.0, None), to_error(0.123456, None)
        ('-378', '1.23e-07', '77,560', '0.1235')
    """
    if value is None or not math.isfinite(value):
        return NONE
    if not error or not math.isfinite(error):
        return _without_error(value)
    decimals = decimals_of(error)
    if decimals > MOST_DECIMALS and value:
        return f"{value:.{max(0, decimals - decimals_of(value))}e}"
    return _fixed(value, decimals)


def _fixed(value: float, decimals: int) -> str:
    return f"{round(value, decimals) + 0.0:.{max(0, decimals)}f}"


def _without_error(value: float) -> str:
    if value == int(value) and abs(value) < 1e15:
        return f"{value:,.0f}"
    if 1e4 <= abs(value) < 1e9:
        return f"{float(f'{value:.{DIGITS}g}'):,.0f}"
    return f"{value:.{DIGITS}g}"
