"""Read a table from a CSV file: every cell as text, names and cells without the spaces around them."""

from __future__ import annotations

import csv
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TextIO

from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.report.table_columns import UNNAMED

MAX_BYTES = 512 * 1024**2
MAX_LINE = 1024 * 1024
DELIMITERS = (",", ";", "\t")
_FORMULA = ("'=", "'+", "'-", "'@")  # text that was written so that no spreadsheet takes it for a formula
_TOO_LONG = "The head line is row 1. A delimiter at the end of a row begins one more field."
_AS_CSV = "Save it as CSV in UTF-8, with a head line and one row for each minimum."


def read_table(path: Path, named: Sequence[str]) -> dict[str, list[str]]:
    """Return the columns of a CSV file by name, all of one length; fields that a row lacks are empty.

    The delimiter is the comma, semicolon or tab that makes the named columns appear in the head line.

    Args:
        named: columns that must be there, as `clean_name` returns them.

    Raises:
        InputError: the file cannot be read, is too large, is no CSV, lacks a named column (the nearest is
        proposed), has two columns of one name, or a row is longer than the head line.
    """
    shown = printable(str(path))
    try:
        _check_file(path, shown)
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = _rows(file, named, shown)
            head = _head(next(rows), named)
            return _columns(head, rows)
    except UnicodeDecodeError:
        raise InputError("the table must be text in UTF-8", received=shown, advice=_AS_CSV) from None
    except csv.Error as error:
        raise InputError(f"the table must be CSV ({printable(str(error), 200)})", received=shown) from None
    except OSError as error:
        raise InputError(f"the table must be a file that can be read ({error.strerror})", received=shown) from None


def clean_name(name: str) -> str:
    """Return a column's name as it is compared and shown: one Unicode form, no spaces around it, safe to print."""
    name = unicodedata.normalize("NFC", name.strip())
    return printable(name[1:] if name.startswith(_FORMULA) else name, 100)


def _check_file(path: Path, shown: str) -> None:
    if path.is_dir():
        raise InputError("the table must be a CSV file", received=f"the folder {shown}")
    if not path.exists():
        raise InputError("the table must be a CSV file that exists", received=shown)
    if not path.is_file():
        raise InputError("the table must be a plain file", received=shown)
    if (size := path.stat().st_size) > MAX_BYTES:
        raise InputError(f"the table must be at most {MAX_BYTES} bytes", received=f"{size} bytes")


def _rows(file: TextIO, named: Sequence[str], shown: str) -> Iterator[list[str]]:
    """Yield the rows, the head line first; blank lines are empty rows."""
    lines = _lines(file)
    first = next((line for line in lines if line.strip()), None)
    if first is None:
        raise InputError("the table must be CSV with a head line; it is empty", received=shown)
    return csv.reader(chain([first], lines), delimiter=_delimiter(first, named), skipinitialspace=True)


def _lines(file: TextIO) -> Iterator[str]:
    while line := file.readline(MAX_LINE):
        if len(line) == MAX_LINE:
            raise csv.Error(f"a line is longer than {MAX_LINE} characters")
        yield line


def _delimiter(line: str, named: Sequence[str]) -> str:
    """Return the delimiter by which a head line has the most of the named columns, then the most columns."""

    def found(delimiter: str) -> tuple[int, int]:
        names = [clean_name(name) for name in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])]
        return len(set(named) & set(names)), len(names)

    return max(DELIMITERS, key=found)  # the first of equals: the comma


def _head(row: Sequence[str], named: Sequence[str]) -> list[str]:
    given = [clean_name(name) for name in row]
    names = [name or _free_name(index, given) for index, name in enumerate(given)]
    for name in named:
        if name not in names:
            raise InputError("a column must be in the table", received=name, accepted=names)
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise InputError("the columns of the table must have names of their own", received=", ".join(twice))
    return names


def _free_name(index: int, taken: Sequence[str]) -> str:
    """Return a name for a column without one; a table that was saved twice has its former index as "Unnamed: 0"."""
    name = f"{UNNAMED}{index}"
    while name in taken:
        name += ".1"
    return name


def _columns(head: Sequence[str], rows: Iterator[list[str]]) -> dict[str, list[str]]:
    cells: list[list[str]] = [[] for _ in head]
    for number, row in enumerate(rows, 2):
        if len(row) > len(head):
            rule = f"every row of a CSV table must have at most as many fields as its head line, {len(head)}"
            raise InputError(rule, received=f"{len(row)} fields in row {number}", advice=_TOO_LONG)
        if row:
            for column, cell in zip(cells, chain(row, [""] * (len(head) - len(row))), strict=True):
                column.append(cell.strip())
    return dict(zip(head, cells, strict=True))
