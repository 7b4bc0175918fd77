"""The head line of a CSV file, looked at before anything heavy is imported."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from infomcr_cli.errors import InputError
from infomcr_cli.runs.documents import printable

MAX_BYTES = 512 * 1024**2
MAX_HEAD = 1024 * 1024


def check_head(path: Path, names: Sequence[str]) -> None:
    """Check that a table is a CSV file of bearable size that has the named columns.

    Raises: InputError: it is not, or has not; the nearest column is named.
    """
    shown = printable(str(path))
    try:
        if not path.is_file():
            raise InputError("the table must be a CSV file that exists", received=shown)
        if (size := path.stat().st_size) > MAX_BYTES:
            raise InputError(f"the table must be at most {MAX_BYTES} bytes", received=f"{size} bytes")
        with path.open(encoding="utf-8-sig", newline="") as file:
            head = next(csv.reader([file.readline(MAX_HEAD)]), [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = printable(str(error), 200)
        raise InputError(f"the table must be CSV with a head line ({why})", received=shown) from None
    if not head:
        raise InputError("the table must be CSV with a head line", received=shown)
    columns = [printable(name, 100) for name in head]
    for name in names:
        if name not in columns:
            raise InputError("a column must be in the table", received=name, accepted=columns)
