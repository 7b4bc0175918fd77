"""What is left out of a ranking, and the sentences that say so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MOST_LINES = 10  # of one kind; the JSON document has all of them


@dataclass(frozen=True)
class Missing:
    """Number of rows without a number, and one of their cells as it was written; None if the cell is empty."""

    rows: int
    example: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        return {"rows": self.rows, "example": self.example}


@dataclass(frozen=True)
class LeftOut:
    """What is not ranked.

    Attributes:
        without_gap: rows whose gap is not a number; they are in no statistic.
        high_loss:   rows whose training loss is above `max_train_loss`, or is not known.
        max_train_loss: the highest training loss of a row that is ranked; None: any.
        marked:      rows that the table itself excludes, in the column `in_verdict`.
        measures:    measure → ranked rows in which it is not a number; they count for the other measures.
        columns:     column of a table → why it is not a measure.
        runs:        run → why it cannot be read.
    """

    without_gap: Missing = Missing(0)
    marked: int = 0
    high_loss: int = 0
    max_train_loss: float | None = None
    measures: Mapping[str, Missing] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    runs: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        return {
            "without_gap": self.without_gap.to_dict(),
            "not_in_verdict": self.marked,
            "above_max_train_loss": self.high_loss,
            "max_train_loss": self.max_train_loss,
            "measures": {name: missing.to_dict() for name, missing in self.measures.items()},
            "columns": dict(self.columns),
            "runs": dict(self.runs),
        }

    def sentences(self, rows: int) -> list[str]:
        """Return a line on each kind of what is left out.

        Args:
            rows: number of ranked rows, replicates counted.
        """
        lines = []
        if self.marked:
            lines.append(f"Skipped {_rows(self.marked)}: in_verdict is false.")
        if self.max_train_loss is not None:
            limit = f"{self.max_train_loss:g}"
            lines.append(f"Left out: {_rows(self.high_loss)} with a training loss above {limit} or without one.")
        if self.without_gap.rows:
            lines.append(f"Skipped {_rows(self.without_gap.rows)} without a gap{_such_as(self.without_gap)}.")
        lines += _first([_without_number(name, one, rows) for name, one in self.measures.items()])
        if self.columns:
            reasons: dict[str, list[str]] = {}
            for name, reason in self.columns.items():
                reasons.setdefault(reason, []).append(name)
            why = "; ".join(f"{', '.join(names)} ({reason})" for reason, names in reasons.items())
            lines.append(f"Not ranked as measures: {why}. To rank a column, list it in --measures.")
        return lines + _first([f"Left out, because it cannot be read: {run}: {why}" for run, why in self.runs.items()])


def _without_number(name: str, missing: Missing, rows: int) -> str:
    if missing.rows == rows:
        return f"{name} has no number in any row{_such_as(missing)}."
    return f"{name} has no number in {missing.rows} of {_rows(rows)}{_such_as(missing)}; the other rows are used."


def _rows(count: int) -> str:
    return f"{count} row{'' if count == 1 else 's'}"


def _such_as(missing: Missing) -> str:
    return "" if missing.example is None else f" (such as {missing.example!r})"


def _first(lines: list[str]) -> list[str]:
    more = len(lines) - MOST_LINES
    return lines if more <= 0 else [*lines[:MOST_LINES], f"… and {more} more; see --json."]
