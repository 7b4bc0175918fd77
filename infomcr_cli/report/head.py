"""The head line of a CSV file, looked at before anything heavy is imported."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from infomcr_cli.errors import InputError
from infomcr_cli.runs.documents import printable

MAX_BYTES = 512 * 1024**2
MAX_HEAD = 1024 * 1024


def check_head(path: Path, names: Sequence[str]) -> None:
    """Check that a table is a CSV file of bearable size that has the named columns.

    Raises: InputError: it is not, or has not; the nearest column is named. Columns of one name are refused too, and
            rows longer than the head line, whose values would stand under the wrong names.
    """
    shown = printable(str(path))
    try:
        if not path.is_file():
            raise InputError("the table must be a CSV file that exists", received=shown)
        if (size := path.stat().st_size) > MAX_BYTES:
            raise InputError(f"the table must be at most {MAX_BYTES} bytes", received=f"{size} bytes")
        with path.open(encoding="utf-8-sig", newline="") as file:
            head = next(csv.reader([file.readline(MAX_HEAD)]), [])
            too_long = _first_too_long(csv.reader(file), len(head))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = printable(str(error), 200)
        raise InputError(f"the table must be CSV with a head line ({why})", received=shown) from None
    if not head:
        raise InputError("the table must be CSV with a head line", received=shown)
    columns = [printable(name, 100) for name in head]
    for name in names:
        if name not in columns:
            raise InputError("a column must be in the table", received=name, accepted=columns)
    if twice := [name for name, count in Counter(columns).items() if name and count > 1]:
        raise InputError("the columns of the table must have names of their own", received=", ".join(twice))
    if too_long:
        number, fields = too_long
        rule = f"every row of a CSV table must have at most as many fields as its head line, {len(head)}"
        raise InputError(rule, received=f"{fields} fields in row {number}", advice=_TOO_LONG)


_TOO_LONG = "The head line is row 1. A comma at the end of a row begins one more field."


def _first_too_long(rows: Iterable[Sequence[str]], most: int) -> tuple[int, int] | None:
    """Return number and fields of the first row that is longer than the head line, which is row 1."""
    return next(((number, len(row)) for number, row in enumerate(rows, 2) if len(row) > most), None)
