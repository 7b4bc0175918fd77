"""The command `runs`: list the runs of a folder, all or some, and close those whose process is gone."""

from __future__ import annotations

import csv
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.report.axes import full_text
from infomcr_cli.report.output_files import check_file
from infomcr_cli.report.run_conditions import Condition, in_order, parse_condition
from infomcr_cli.report.run_list import UNREADABLE, RunList
from infomcr_cli.report.run_summary import summarise_run
from infomcr_cli.report.run_values import RunValues, full_name
from infomcr_cli.runs import is_run
from infomcr_cli.tracking.store import store_of

ABANDONED_AFTER = 3600.0


@dataclass(frozen=True)
class RunQuery:
    """Which runs are listed, in which order and how.

    Args:
        conditions: that a run must fulfil, such as "reg.name=on".
        sort:       the name to sort by; with a minus in front descending; None: by run.
        columns:    the names to show; none: the usual ones.
        csv:        file to write the table to.
    """

    conditions: Sequence[str] = ()
    sort: str | None = None
    columns: Sequence[str] = ()
    csv: Path | None = None


def list_runs(
    folder: Path | str, *, repair: bool = False, tracking_uri: str | None = None, query: RunQuery | None = None
) -> RunList:
    """Return the runs of a folder by name; with `repair`, close the lost ones here, and in MLflow all that broke off.

    Args:
        query: which runs are listed, and repaired, in which order and how; None: all.

    Raises:
        InputError: there is no such folder, tracking_uri is none, or the query names what no run has.
    """
    root, query = Path(folder), query or RunQuery()
    if not root.is_dir():
        raise InputError(
            "there is no such runs folder", received=printable(str(root)), advice="Give it with --runs-dir."
        )
    if query.csv is not None:
        check_file(query.csv, "--csv")
    if repair:
        store_of(tracking_uri, None, root)  # refuses what is no URI
    conditions = [parse_condition(text) for text in query.conditions]
    paths = [path for path in sorted(root.iterdir()) if is_run(path) or _was_run(path)]
    found = _Found.read(paths) if conditions or query.sort or query.columns else None
    kept = paths if found is None else found.kept(conditions, query.sort)
    columns = () if found is None else tuple(found.name(column) for column in query.columns)
    if repair:
        _remove_half_made(root)
    runs = tuple(summarise_run(path, repair, tracking_uri) for path in kept)
    if found is not None:
        runs = tuple(replace(run, values=found.values(path, columns)) for run, path in zip(runs, kept, strict=True))
    listed = RunList(runs, repair, columns, len(paths) if conditions else None, query.csv)
    if query.csv is not None:
        _write_csv(listed.table(), query.csv)
    return listed


@dataclass(frozen=True)
class _Found:
    """The values of the runs of a folder; None for a run that cannot be read."""

    runs: Mapping[Path, RunValues | None]

    @staticmethod
    def read(paths: Sequence[Path]) -> _Found:
        runs: dict[Path, RunValues | None] = {}
        for path in paths:
            try:
                runs[path] = RunValues.read(path)
            except (InputError, OSError):
                runs[path] = None
        return _Found(runs)

    def name(self, name: str) -> str:
        return full_name(name, [run for run in self.runs.values() if run is not None])

    def get(self, path: Path, name: str) -> Any:
        run = self.runs[path]
        if run is None:
            return {"run": printable(path.name), "state": UNREADABLE}.get(name)
        return run.get(name)

    def values(self, path: Path, names: Sequence[str]) -> dict[str, Any]:
        return {name: self.get(path, name) for name in names}

    def kept(self, conditions: Sequence[Condition], sort: str | None) -> list[Path]:
        """Return the runs that fulfil all conditions, in order.

        A run that cannot be read has only a name and a state: any other condition on it is not fulfilled.
        """
        named = [replace(one, name=self.name(one.name)) for one in conditions]
        kept = [path for path in self.runs if all(self._holds(one, path) for one in named)]
        if sort is None:
            return kept
        name = self.name(sort.removeprefix("-"))
        return in_order(kept, lambda path: self.get(path, name), descending=sort.startswith("-"))

    def _holds(self, condition: Condition, path: Path) -> bool:
        is_known = self.runs[path] is not None or condition.name in ("run", "state")
        return is_known and condition.holds(self.get(path, condition.name))


def _write_csv(table: Sequence[Sequence[Any]], path: Path) -> None:
    """Write a table as CSV: numbers in full, lists as JSON, and nothing that a spreadsheet takes for a formula."""
    from infomcr_cli.report.csv_writer import escape_formula
    from infomcr_cli.report.output_files import write_whole

    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in table:
        cells = (cell if cell is None or isinstance(cell, int | float) else full_text(cell) for cell in row)
        writer.writerow([str(cell).lower() if isinstance(cell, bool) else escape_formula(cell) for cell in cells])
    write_whole(path, text.getvalue().encode(), "--csv")


def _remove_half_made(root: Path) -> None:
    """Remove run directories whose process died before it had completed and renamed them."""
    for path in root.glob(".creating-*"):
        if path.is_dir() and not path.is_symlink() and time.time() - path.lstat().st_mtime > ABANDONED_AFTER:
            shutil.rmtree(path, ignore_errors=True)


def _was_run(path: Path) -> bool:
    """Return whether a directory has checkpoints and one of the two files of a run, or cannot be read."""
    if path.name.startswith(".") or not os.path.isdir(path):
        return False
    try:
        (path / "status.json").exists()
    except OSError:
        return True
    known = any((path / name).is_file() for name in ("config.yaml", "status.json"))
    return known and (path / "checkpoints").is_dir()
