"""What of a table or of a set of runs is not ranked, and the sentences that say so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MOST_LINES = 10  # of one kind; the JSON document has them all


@dataclass(frozen=True)
class Missing:
    """Rows without a number, and one of their cells as it stands; None where the cell is empty."""

    rows: int
    example: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the entry of the JSON document."""
        return {"rows": self.rows, "example": self.example}


@dataclass(frozen=True)
class LeftOut:
    """What is not ranked.

    Attributes:
        without_gap:    rows whose gap is not a number; they enter nothing.
        not_in_verdict: rows that the table itself marks so, in the column `in_verdict`.
        measures:       measure → the ranked rows in which it is not a number; they enter every other measure.
        columns:        column of a table → why it is not a measure.
        runs:           run → why it cannot be read.
    """

    without_gap: Missing = Missing(0)
    not_in_verdict: int = 0
    measures: Mapping[str, Missing] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    runs: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the entry of the JSON document."""
        return {
            "without_gap": self.without_gap.to_dict(),
            "not_in_verdict": self.not_in_verdict,
            "measures": {name: missing.to_dict() for name, missing in self.measures.items()},
            "columns": dict(self.columns),
            "runs": dict(self.runs),
        }

    def sentences(self, rows: int) -> list[str]:
        """Return a line on each kind of what is left out. Args: rows: how many are ranked, replicates counted."""
        lines = []
        if self.not_in_verdict:
            lines.append(f"Left out, because in_verdict is false: {_rows(self.not_in_verdict)}.")
        if self.without_gap.rows:
            without = f"{_rows(self.without_gap.rows)}{_such_as(self.without_gap)}"
            lines.append(f"Left out, because they have no gap: {without}.")
        lines += _cut([_without_number(name, one, rows) for name, one in self.measures.items()])
        if self.columns:
            why = "; ".join(f"{', '.join(names)} ({reason})" for reason, names in _by_reason(self.columns).items())
            lines.append(f"Not judged as measures: {why}. Name a column in --measures to judge it.")
        return lines + _cut([f"Left out, because it cannot be read: {run}: {why}" for run, why in self.runs.items()])


def _without_number(name: str, missing: Missing, rows: int) -> str:
    if missing.rows == rows:
        return f"{name} has no number in any row{_such_as(missing)}."
    return f"{name} has no number in {missing.rows} of {_rows(rows)}{_such_as(missing)}; it is judged on the others."


def _rows(count: int) -> str:
    return f"{count} row{'' if count == 1 else 's'}"


def _such_as(missing: Missing) -> str:
    return "" if missing.example is None else f" (such as {missing.example!r})"


def _by_reason(columns: Mapping[str, str]) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for name, reason in columns.items():
        reasons.setdefault(reason, []).append(name)
    return reasons


def _cut(lines: list[str]) -> list[str]:
    more = len(lines) - MOST_LINES
    return lines if more <= 0 else [*lines[:MOST_LINES], f"… and {more} more such lines; --json has them all."]
