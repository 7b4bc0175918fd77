"""Tables as CSV files: one that was made elsewhere is read, the table of a comparison is written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from infomcr_cli.errors import InputError
from infomcr_cli.report.conventions import mixtures
from infomcr_cli.runs.documents import printable

if TYPE_CHECKING:
    from infomcr_cli.report.comparison import Comparison
    from infomcr_cli.report.entry import Entry, Measured


def read_table(path: Path) -> pd.DataFrame:
    """Return a CSV file that `check_head` has looked at as a table; a local file, never an address.

    Raises: InputError: it is no CSV.
    """
    shown = printable(str(path))
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            frame = pd.read_csv(file)
    except (OSError, UnicodeDecodeError, ValueError, OverflowError) as error:
        raise InputError(
            f"the table must be CSV with a head line ({printable(str(error), 200)})", received=shown
        ) from None
    frame.columns = pd.Index([printable(str(name), 100) for name in frame.columns])
    if not frame.columns.is_unique:
        raise InputError("the columns of the table must have names of their own", received=shown)
    return frame


def write_table(comparison: Comparison, path: Path) -> None:
    """Write one line for each evaluated run: settings that differ, scores, gaps, compute, each measure and its error.

    A measure that was taken in several ways has a column `NAME convention`, which says in which way each run's was.

    Raises: InputError: the file cannot be written.
    """
    entries = (*comparison.judged, *comparison.apart)
    ways = {mixture.measure: mixture.by_run() for mixture in mixtures(entries)}
    rows = [_row(comparison, entry, ways) for entry in entries]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(rows).to_csv(path, index=False)
    except OSError as error:
        raise InputError(f"--csv must name a file that can be written ({error.strerror})", received=str(path)) from None


def _row(comparison: Comparison, entry: Entry, ways: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    found = entry.evaluation
    assert found is not None
    row: dict[str, Any] = {"run": inert(entry.name), "in_verdict": not entry.missed}
    row |= {axis.name: inert(entry.settings.get(axis.name)) for axis in comparison.axes}
    row |= {"seed": inert(entry.seed), "train_loss": found.train.loss, "train_accuracy": found.train.accuracy}
    row |= {"test_loss": found.test.loss, "test_accuracy": found.test.accuracy}
    row |= {"gap_error": found.gap.error, "gap_loss": found.gap.loss}
    row |= {"compute": entry.compute.epochs if entry.compute else None}
    for name, measured in found.measures.items():
        row |= _cells(row, name, measured)
        if name in ways:
            row[f"{name} convention"] = inert(ways[name].get(entry.name))
    return {inert(name): value for name, value in row.items()}


def _cells(row: Mapping[str, Any], name: str, measured: Measured) -> dict[str, Any]:
    """Return the cells of a measure; none for one that stands in the row already, as the training loss may."""
    if name in row and row[name] == measured.value:
        return {}
    cells = {name if name not in row else f"measure {name}": measured.value}
    return cells if measured.std_error is None else {**cells, f"{name} std_error": measured.std_error}


def inert(value: Any) -> Any:
    """Return text so that no spreadsheet takes it for a formula."""
    text = printable(value, 10_000) if isinstance(value, str) else value
    return f"'{text}" if isinstance(text, str) and text[:1] in ("=", "+", "-", "@") else text
