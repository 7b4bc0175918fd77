"""Find the files to import, and the training settings that the user gave for each."""

from __future__ import annotations

import csv
import glob
import io
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from infomcr_cli.config.schema.imported import MAX_SETTING_NAME, MAX_SETTING_TEXT, Setting
from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError

SUFFIXES = (".keras", ".weights.h5", ".safetensors")
FILE, INITIAL = "file", "initial"  # columns of a table that are no settings
MAX_TABLE = 64 * 2**20
MAX_FILES = 100_000
_WHOLE, _NUMBER = re.compile(r"[+-]?\d{1,18}"), re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_NAME = re.compile(r"[A-Za-z_][\w-]*(\.[A-Za-z_][\w-]*)*")


@dataclass(frozen=True)
class WeightSource:
    """One file to import.

    Args:
        settings: hyperparameters of its training.
        initial:  the weights before training; None: not known.
    """

    file: Path
    settings: Mapping[str, Setting] = field(default_factory=dict)
    initial: Path | None = None

    @property
    def is_keras(self) -> bool:
        """Whether the file contains layers as well as weights."""
        return self.file.name.endswith(".keras")

    @property
    def run_name(self) -> str:
        """The run name, derived from the file name."""
        stem = next(self.file.name.removesuffix(suffix) for suffix in SUFFIXES if self.file.name.endswith(suffix))
        return re.sub(r"[^\w.-]", "_", stem).lstrip(".") or "imported"


def find_sources(
    files: Sequence[str], settings: Sequence[str], *, initial: Path | None = None, table: Path | None = None
) -> list[WeightSource]:
    """Return the files given by paths, quoted globs and the rows of a table, each once, with their settings.

    Args:
        settings: KEY=VALUE, for every file.
        table:    a CSV file with a column `file` and one for each setting; if `files` are given, it must have a line
                  for each of them, else all its lines are taken.

    Raises:
        InputError: a file is missing or of an unknown kind, or a setting or the table is malformed.

    Example:
        find_sources(["nets/*.keras"], ["momentum=0.9"], table=Path("nets.csv"))
    """
    common = dict(_setting(one) for one in settings)
    named = [_checked(path) for name in files for path in _paths(name)]
    sources = _of_table(table, named) if table else [WeightSource(path) for path in dict.fromkeys(named)]
    if not sources:
        advice = "For example: infomcr import mine.keras data=npz data.root=mine.npz."
        raise InputError("import needs a model file", received="none", accepted=SUFFIXES, advice=advice)
    if initial is not None:
        if len(sources) > 1:
            advice = f"Give a column {INITIAL!r} in --table."
            raise InputError(
                "--initial can be used with one file only", received=f"{len(sources)} files", advice=advice
            )
        sources = [replace(sources[0], initial=_checked(initial))]
    for source in sources:
        _check_initial(source)
    return [replace(source, settings={**common, **source.settings}) for source in sources]


def _check_initial(source: WeightSource) -> None:
    """Raise InputError if the file of the initial weights has the wrong format for the network."""
    fitting = (".keras", ".weights.h5") if source.is_keras else (".weights.h5", ".safetensors")
    if source.initial is not None and not source.initial.name.endswith(fitting):
        name = printable(source.file.name)
        rule = f"the weights before training of {name} must be in a file of a kind that goes with it"
        raise InputError(rule, received=str(source.initial), accepted=fitting)


def _setting(text: str) -> tuple[str, Setting]:
    name, sign, value = text.partition("=")
    if not sign or not _NAME.fullmatch(name):
        raise InputError("--set takes NAME=VALUE", received=text, advice="For example --set learning_rate=0.1.")
    return _checked_setting(name, _value(value))


def _checked_setting(name: str, value: Setting) -> tuple[str, Setting]:
    """Return a setting; raise InputError if it is longer than a run can record."""
    if len(name) > MAX_SETTING_NAME or (isinstance(value, str) and len(value) > MAX_SETTING_TEXT):
        raise InputError(
            f"a recorded setting must have a name of at most {MAX_SETTING_NAME} letters and a value of at most "
            f"{MAX_SETTING_TEXT}",
            received=f"{printable(name, 120)}={printable(str(value), 80)}",
        )
    return name, value


def _value(text: str) -> Setting:
    """Parse a number or a boolean; return other text unchanged."""
    text = text.strip()
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if _WHOLE.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text) and abs(float(text)) < 1e300:  # a number that JSON can hold
        return float(text)
    return text


def _paths(name: str) -> list[Path]:
    if os.path.lexists(name) or not glob.has_magic(name):
        return [Path(name)]
    matches = sorted(glob.glob(name))[:MAX_FILES]
    if not matches:
        raise InputError("a pattern must match a file", received=printable(name))
    return [Path(match) for match in matches]


def _checked(path: Path) -> Path:
    if not path.name.endswith(SUFFIXES):
        legacy = path.name.endswith((".h5", ".hdf5", ".pb")) or path.is_dir()
        advice = "Load it in Keras and save it anew: model.save('mine.keras')." if legacy else None
        rule = "a model must be a file of a known kind"
        raise InputError(rule, received=str(path), accepted=SUFFIXES, advice=advice)
    if not path.is_file():
        raise InputError("the model file must exist", received=str(path))
    return path


def _of_table(table: Path, named: Sequence[Path]) -> list[WeightSource]:
    lines: dict[Path, WeightSource] = {}
    for source in _read_table(table):
        if lines.setdefault(source.file.resolve(), source) is not source:
            raise InputError(f"{table} must have one line for each file", received=f"two for {source.file}")
    if not named:
        return list(lines.values())
    missing = [path for path in named if path.resolve() not in lines]
    if missing:
        raise InputError(f"{table} must have a line for each file", received=f"none for {missing[0]}")
    return [lines[path] for path in dict.fromkeys(path.resolve() for path in named)]


def _read_table(table: Path) -> Iterable[WeightSource]:
    try:
        if table.stat().st_size > MAX_TABLE:
            raise InputError(f"--table must have at most {MAX_TABLE} bytes", received=f"{table.stat().st_size}")
        text = table.read_text(encoding="utf-8-sig")  # spreadsheets write a byte order mark
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "--table must be a CSV file that can be read", received=str(table), advice=f"{error}."
        ) from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)  # newline="" keeps line breaks inside of quotes
    try:
        head, *rows = [row for row in reader if row]
    except (csv.Error, ValueError) as error:
        raise InputError("--table must be a CSV file with a header", received=str(table), advice=f"{error}.") from None
    head = [name.strip() for name in head]
    if FILE not in head or len(set(head)) < len(head):
        raise InputError(f"--table must have a column {FILE!r} and unique column names", received=",".join(head))
    for name in head:
        if not _NAME.fullmatch(name):
            raise InputError("a column of --table must be the name of a setting", received=printable(name))
    return [_of_row(dict(zip(head, row, strict=False)), len(row) - len(head), table) for row in rows]


def _of_row(row: Mapping[str, str], surplus: int, table: Path) -> WeightSource:
    if surplus > 0 or not row.get(FILE, "").strip():
        raise InputError(f"each line of {table} must name a file and match the header", received=",".join(row.values()))
    given = {name: _value(text) for name, text in row.items() if name not in (FILE, INITIAL) and text.strip()}
    settings = dict(_checked_setting(name, value) for name, value in given.items())
    initial = row.get(INITIAL, "").strip()
    return WeightSource(_beside(row[FILE].strip(), table), settings, _beside(initial, table) if initial else None)


def _beside(name: str, table: Path) -> Path:
    """Resolve a file of a table, relative to the table or to the working directory."""
    beside = table.parent / name
    return _checked(beside if beside.exists() else Path(name))
