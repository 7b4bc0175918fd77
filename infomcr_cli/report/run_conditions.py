"""Conditions on the values of a run, such as optimizer.l2>=1e-4, and the order of runs by a value."""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.judging.ties import parse_number
from infomcr_cli.report.axes import full_text
from infomcr_cli.runs.status import State

_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
OPERATORS = ("=", "!=", *_ORDER)
STATES = (*State, "unreadable")
_PARTS = re.compile(r"([^=<>!]+?)\s*(!=|<=|>=|==|=|<|>)\s*(.*)", re.S)
_DATES = ("started", "ended")
_TRUE, _FALSE, _NONE = ("true", "on", "yes"), ("false", "off", "no"), ("", "null", "none")
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Condition:
    """What must hold of a run's value.

    Args:
        operator: one of `OPERATORS`.
        value:    as it was given.
    """

    name: str
    operator: str
    value: str

    def holds(self, found: Any) -> bool:
        """Return whether a value fulfils the condition; of a run without one only `!=` and `=null` do.

        Examples:
            >>> Condition("optimizer.l2", ">=", "1e-4").holds(5e-4), Condition("reg.name", "!=", "on").holds("on")
            (True, False)
        """
        if self.operator not in _ORDER:
            return self._equals(found) is (self.operator == "=")
        if self.name in _DATES:
            return found is not None and _ORDER[self.operator](_when(found), _when(self.value))
        number, limit = _number(found), parse_number(self.value)
        return number is not None and limit is not None and _ORDER[self.operator](number, limit)

    def _equals(self, found: Any) -> bool:
        given, word = self.value, self.value.lower()
        if found is None:
            return word in _NONE
        if isinstance(found, bool):
            return word in (_TRUE if found else _FALSE)
        if isinstance(found, int | float):
            return parse_number(given) == found
        if isinstance(found, str):
            is_day = self.name in _DATES and found.startswith(given)
            return found == given or is_day or (self.name == "state" and found.lower() == word)
        return bool(_parsed(given) == found)


def _when(text: str) -> datetime:
    """Return the time that a date states, in UTC if it names no other zone."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def parse_condition(text: str) -> Condition:
    """Return the condition that a word of the command line states.

    Raises:
        InputError: it has no operator, or orders by what is neither a number nor a date.
    """
    parts = _PARTS.fullmatch(text.strip())
    if parts is None:
        raise InputError(
            "a condition must consist of a name, an operator and a value",
            received=printable(text),
            accepted=OPERATORS,
            advice="For example reg.name=on or 'optimizer.l2>=1e-4', in quotes.",
        )
    name, sign, value = parts.groups()
    condition = Condition(name.strip(), "=" if sign == "==" else sign, value)
    if value.startswith(("<", ">", "=")):
        raise InputError("a condition must have one operator", received=printable(text), accepted=OPERATORS)
    if condition.name == "state" and value.lower() not in (*(state.lower() for state in STATES), *_NONE):
        raise InputError("a state must be known", received=printable(value), accepted=STATES)
    if condition.operator in _ORDER:
        _check_order(condition, text)
    return condition


def _check_order(condition: Condition, text: str) -> None:
    if condition.name in _DATES:
        try:
            datetime.fromisoformat(condition.value)
        except ValueError:
            raise InputError("a date must look like 2026-11-24 or 2026-11-24T18:30", received=text) from None
    elif (number := parse_number(condition.value)) is None or number != number:
        raise InputError("< <= > >= must compare with a number", received=printable(text))


def in_order(items: Sequence[_Item], value: Callable[[_Item], Any], *, descending: bool) -> list[_Item]:
    """Return items in the order of a value, numbers before texts; those without one are last, whatever the direction.

    Examples:
        >>> in_order([2, None, 10], lambda item: item, descending=True)
        [10, 2, None]
    """
    known = [item for item in items if value(item) is not None]
    return [
        *sorted(known, key=lambda item: _sort_key(value(item)), reverse=descending),
        *(item for item in items if value(item) is None),
    ]


def _sort_key(value: Any) -> tuple[bool, float, str]:
    number = _number(value)
    return (True, 0.0, full_text(value)) if number is None else (False, number, "")


def _number(value: Any) -> float | None:
    """Return the number that a value is or states; True and False are not numbers."""
    if isinstance(value, str):
        return parse_number(value)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:  # an integer that no float holds
        return math.inf if value > 0 else -math.inf


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
