"""What the schedule of a run changes and when: the learning rate falls, the regularizer begins or pauses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

KINDS: dict[str, Any] = {"learning rate falls": ":", "regularizer begins": "--", "regularizer pauses": "-."}
MOST_MARKS = 6  # of one kind: more lines than that hide the curves
Marks = Mapping[str, Sequence[float]]


def schedule_marks(config: Mapping[str, Any], until: float) -> Marks:
    """Return kind → epochs at which something changes, up to the last epoch; nothing if the settings do not say.

    Args:
        config: flat settings of a run, which may be malformed.
        until:  the last epoch.

    Examples:
        >>> settings = {"schedule.name": "piecewise", "schedule.epochs": 10, "schedule.boundaries": [0.3, 0.8]}
        >>> settings |= {"schedule.phases": [0.3, 0.6], "reg.phases": "010"}
        >>> schedule_marks(settings, until=7)
        {'learning rate falls': [3.0], 'regularizer begins': [3.0], 'regularizer pauses': [6.0]}
    """
    epochs: Any = config.get("schedule.epochs")
    if not _is_number(epochs):
        return {}
    falls = () if config.get("schedule.name") == "cosine" else _shares(config.get("schedule.boundaries"))
    found: dict[str, list[float]] = {"learning rate falls": [share * epochs for share in falls]}
    digits, starts = config.get("reg.phases"), _shares(config.get("schedule.phases"))
    if isinstance(digits, str) and len(digits) == len(starts) + 1:
        for (before, after), share in zip(pairwise(digits), starts, strict=True):
            if before != after:
                kind = "regularizer begins" if after == "1" else "regularizer pauses"
                found.setdefault(kind, []).append(share * epochs)
    return {kind: [one for one in at if 0 < one <= until] for kind, at in found.items()}


def all_marks(each: Sequence[Marks]) -> Marks:
    """Return the marks of several runs together; a kind with too many different ones has none."""
    found = {kind: sorted({epoch for marks in each for epoch in marks.get(kind, ())}) for kind in KINDS}
    return {kind: epochs for kind, epochs in found.items() if 0 < len(epochs) <= MOST_MARKS}


def _shares(value: Any) -> Sequence[float]:
    return value if isinstance(value, list | tuple) and all(map(_is_number, value)) else ()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9
