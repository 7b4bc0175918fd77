"""The tables of the study: a line for each run, all cells text, written whole or not at all."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Row = Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """A CSV file whose rows are identified by a few columns.

    Args:
        path: of the file, which need not exist.
        keys: the columns that identify a row.
    """

    path: Path
    keys: Sequence[str]

    def rows(self) -> list[dict[str, str]]:
        """Return the rows, every cell as text."""
        if not self.path.exists():
            return []
        with self.path.open(encoding="utf-8", newline="") as file:
            return [dict(row) for row in csv.DictReader(file)]

    def known(self) -> dict[tuple[str, ...], dict[str, str]]:
        """Return the rows by what identifies them."""
        return {self.key(row): row for row in self.rows()}

    def key(self, row: Row) -> tuple[str, ...]:
        """Return what identifies a row."""
        return tuple(row[name] for name in self.keys)

    def merge(self, rows: Iterable[Row]) -> int:
        """Add rows, or cells to the rows that are there already; return how many rows are new.

        A cell that is there already stays: what was measured first counts.
        """
        known = self.known()
        before = len(known)
        for row in rows:
            there = known.setdefault(self.key(row), {})
            there.update({name: cell for name, cell in row.items() if there.get(name, "") == ""})
        self._write(list(known.values()))
        return len(known) - before

    def _write(self, rows: Sequence[Row]) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, list(_columns(rows)), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        beside.write_text(text.getvalue(), encoding="utf-8")
        beside.replace(self.path)


def _columns(rows: Iterable[Row]) -> Iterator[str]:
    """Yield the columns in order of appearance, each once."""
    yield from dict.fromkeys(name for row in rows for name in row)
