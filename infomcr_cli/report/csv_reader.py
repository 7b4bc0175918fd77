"""Read a table from a CSV file: every cell as text, without the spaces around names and cells."""

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
from infomcr_cli.report.columns import UNNAMED

MAX_BYTES = 512 * 1024**2
MAX_LINE = 1024 * 1024
DELIMITERS = (",", ";", "\t")
_FORMULA = ("'=", "'+", "'-", "'@")  # as `csv_writer.escape_formula` writes names
_TOO_LONG = "The header is row 1. A trailing delimiter adds an empty field."
_AS_CSV = "Save it as UTF-8 CSV with a header and one row per minimum."


def read_table(path: Path, named: Sequence[str]) -> dict[str, list[str]]:
    """Return the columns of a CSV file by name, all of one length; fields that a row lacks are empty.

    The delimiter is the comma, semicolon or tab with which the header has the most of the named columns.

    Args:
        named: required columns, as `clean_name` returns them.

    Raises:
        InputError: the file cannot be read, is too large, is not CSV, lacks a named column (the error suggests the
            nearest), has two columns of one name, or has a row that is longer than the header.
    """
    shown = printable(str(path))
    try:
        _check_file(path, shown)
        with path.open(encoding="utf-8-sig", newline="") as file:  # Excel begins UTF-8 with a byte order mark
            rows = _rows(file, named, shown)
            header = _header(next(rows), named)
            columns = _columns(header, rows)
    except UnicodeDecodeError:
        raise InputError("the table must be UTF-8 text", received=shown, advice=_AS_CSV) from None
    except csv.Error as error:
        raise InputError(f"the table must be CSV ({printable(str(error), 200)})", received=shown) from None
    except OSError as error:
        raise InputError(f"the table must be a file that can be read ({error.strerror})", received=shown) from None
    if not any(columns.values()):
        raise InputError("the table must have a row below its header", received=shown)
    return columns


def clean_name(name: str) -> str:
    """Return a column's name as it is compared and shown: in one Unicode form, without outer spaces, safe to print.

    Examples:
        >>> clean_name(" '=SUM(A1)")
        '=SUM(A1)'
    """
    name = unicodedata.normalize("NFC", name.strip())
    return printable(name[1:] if name.startswith(_FORMULA) else name, 100)


def _check_file(path: Path, shown: str) -> None:
    if path.is_dir():
        raise InputError("the table must be a CSV file", received=f"the folder {shown}")
    if not path.exists():
        raise InputError("the table must be a CSV file that exists", received=shown)
    if not path.is_file():
        raise InputError("the table must be a regular file", received=shown)
    if (size := path.stat().st_size) > MAX_BYTES:
        raise InputError(f"the table must have at most {MAX_BYTES} bytes", received=f"{size} bytes")


def _rows(file: TextIO, named: Sequence[str], shown: str) -> Iterator[list[str]]:
    """Yield the rows, the header first; blank lines are empty rows."""
    lines = _lines(file)
    first = next((line for line in lines if line.strip()), None)
    if first is None:
        raise InputError("the table must be CSV with a header; it is empty", received=shown)
    return csv.reader(chain([first], lines), delimiter=_delimiter(first, named), skipinitialspace=True, strict=True)


def _lines(file: TextIO) -> Iterator[str]:
    """Yield the lines of a file; unlike iteration over it, this reads no more than `MAX_LINE` at once."""
    while line := file.readline(MAX_LINE):
        if len(line) == MAX_LINE:
            raise csv.Error(f"a line is longer than {MAX_LINE} characters")
        yield line


def _delimiter(line: str, named: Sequence[str]) -> str:
    """Return the delimiter with which a header has the most of the named columns, then the most columns."""

    def found(delimiter: str) -> tuple[int, int]:
        names = [clean_name(name) for name in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])]
        return len(set(named) & set(names)), len(names)

    return max(DELIMITERS, key=found)  # the comma if several are equal


def _header(row: Sequence[str], named: Sequence[str]) -> list[str]:
    given = [clean_name(name) for name in row]
    names = [name or _free_name(index, given) for index, name in enumerate(given)]
    for name in named:
        if name not in names:
            raise InputError("there is no such column in the table", received=name, accepted=names)
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise InputError("column names must be unique", received=", ".join(twice))
    return names


def _free_name(index: int, taken: Sequence[str]) -> str:
    """Return an unused name for a column without one; a table saved by pandas twice has already an "Unnamed: 0"."""
    name = f"{UNNAMED}{index}"
    while name in taken:
        name += ".1"
    return name


def _columns(header: Sequence[str], rows: Iterator[list[str]]) -> dict[str, list[str]]:
    cells: list[list[str]] = [[] for _ in header]
    for number, row in enumerate(rows, 2):  # the header is row 1
        if len(row) > len(header):
            rule = f"every row of a CSV table must have at most as many fields as its header, {len(header)}"
            raise InputError(rule, received=f"{len(row)} fields in row {number}", advice=_TOO_LONG)
        if row:
            for column, cell in zip(cells, chain(row, [""] * (len(header) - len(row))), strict=True):
                column.append(cell.strip())
    return dict(zip(header, cells, strict=True))
