"""The command `runs`: list the runs of a folder, all or some, and close those whose process is gone."""

from __future__ import annotations

import csv
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from infomcr_cli.config.allowed_builders import named_again
from infomcr_cli.console.suggestions import suggested_command
from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.report.output_files import check_file
from infomcr_cli.report.run_conditions import Condition, in_order, parse_condition
from infomcr_cli.report.run_values import RunValues, full_name
from infomcr_cli.report.settings import full_text
from infomcr_cli.runs import RunDirectory, State, Status, is_run, read_status
from infomcr_cli.runs.io.safe_documents import parse_yaml
from infomcr_cli.runs.lifecycle import close_run
from infomcr_cli.runs.lock import last_heartbeat
from infomcr_cli.runs.status import read_status_file
from infomcr_cli.tracking.known_stores import add_known_store, store_of_run
from infomcr_cli.tracking.store import store_of
from infomcr_cli.tracking.sync import sync_run

ABANDONED_AFTER = 3600.0
WIDE = 70
UNREADABLE = "unreadable"  # in place of a state
SHOWN = 5  # lost runs whose commands are printed


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


@dataclass(frozen=True)
class RunSummary:
    """One run in a list.

    Args:
        choices:  group → chosen name, such as model → wrn; empty where the configuration cannot be read.
        problem:  why it cannot be used, or why its end did not reach MLflow.
        repaired: whether it was closed just now.
        closed:   whether its directory says that it has ended; a lost one may still say that it is running.
        resume:   the command that resumes it, if it was interrupted.
        values:   what the chosen columns hold.
    """

    run: str
    path: str
    state: State | None
    reason: str | None
    started: datetime | None
    step: int
    epoch: int
    choices: Mapping[str, str]
    problem: str | None = None
    repaired: bool = False
    closed: bool = True
    resume: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RunList:
    """The runs of a folder.

    Args:
        repaired: whether lost runs were closed; then a problem is a failure.
        columns:  the names that were chosen; none: the usual columns.
        total:    how many runs there are if only some are listed; None: all are.
        csv:      the file that the table was written to; None: none.
    """

    runs: tuple[RunSummary, ...]
    repaired: bool = False
    columns: tuple[str, ...] = ()
    total: int | None = None
    csv: Path | None = None

    @property
    def exit_code(self) -> int:
        """1 if a run could not be closed, or not in MLflow."""
        return int(self.repaired and any(run.problem for run in self.runs))

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document of `runs --json`."""
        started = [None if run.started is None else run.started.isoformat() for run in self.runs]
        return {"runs": [{**asdict(run), "started": when} for run, when in zip(self.runs, started, strict=True)]}

    def renderables(self, width: int) -> Iterator[RenderableType]:
        """Yield a table with a line for each run; whatever a directory says is text, never markup."""
        head, *rows = self.table(is_wide=width >= WIDE)
        table = Table(box=None, pad_edge=False)
        for name in head:
            table.add_column(name, overflow="fold", no_wrap=name == "state")
        for row in rows:
            table.add_row(*(Text(_shown(cell)) for cell in row))
        yield table
        if self.total is not None:
            yield f"{len(self.runs)} of {self.total} runs"
        if self.csv is not None:
            yield printable(str(self.csv))
        if not self.columns and (lost := [run for run in self.runs if run.state is State.LOST and not run.closed]):
            yield _ways_on(lost)

    def table(self, *, is_wide: bool = True) -> list[list[Any]]:
        """Return the names of the columns, then the cells of each run."""
        if self.columns:
            return [list(self.columns), *([run.values[name] for name in self.columns] for run in self.runs)]
        rows: list[list[Any]] = [["run", "state", *(("epoch", "step", "model", "reg") if is_wide else ()), "remark"]]
        for run in self.runs:
            facts = [run.epoch, run.step, *(run.choices.get(group, "") for group in ("model", "reg"))]
            remark = run.problem or ("closed just now" if run.repaired else run.reason or "")
            rows.append([run.run, str(run.state or UNREADABLE), *(facts if is_wide else ()), remark])
        return rows


def _shown(cell: Any) -> str:
    """Return a cell as the terminal shows it: numbers of five digits."""
    if cell is None:
        return ""
    return f"{cell:.5g}" if isinstance(cell, float) else printable(full_text(cell))


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
        raise InputError("runs must be in a folder", received=printable(str(root)), advice="Give it with --runs-dir.")
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
    runs = tuple(_summary(path, repair, tracking_uri) for path in kept)
    if found is not None:
        runs = tuple(replace(run, values=found.values(path, columns)) for run, path in zip(runs, kept, strict=True))
    listed = RunList(runs, repair, columns, len(paths) if conditions else None, query.csv)
    if query.csv is not None:
        _write_csv(listed.table(), query.csv)
    return listed


@dataclass(frozen=True)
class _Found:
    """What is known of the runs of a folder, None of one that cannot be read."""

    runs: Mapping[Path, RunValues | None]

    @staticmethod
    def read(paths: Sequence[Path]) -> _Found:
        return _Found({path: _readable(path) for path in paths})

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
        """Return the runs that fulfil all conditions, in order; of one that cannot be read little is known to hold."""
        named = [replace(one, name=self.name(one.name)) for one in conditions]
        kept = [path for path in self.runs if all(self._holds(one, path) for one in named)]
        if sort is None:
            return kept
        name = self.name(sort.removeprefix("-"))
        return in_order(kept, lambda path: self.get(path, name), descending=sort.startswith("-"))

    def _holds(self, condition: Condition, path: Path) -> bool:
        is_known = self.runs[path] is not None or condition.name in ("run", "state")
        return is_known and condition.holds(self.get(path, condition.name))


def _readable(path: Path) -> RunValues | None:
    try:
        return RunValues.read(path)
    except (InputError, OSError):
        return None


def _write_csv(table: Sequence[Sequence[Any]], path: Path) -> None:
    """Write a table as CSV: numbers whole, lists as JSON, nothing that a spreadsheet takes for a formula."""
    from infomcr_cli.report.csv_writer import escape_formula
    from infomcr_cli.report.output_files import write_whole

    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in table:
        cells = (cell if cell is None or isinstance(cell, int | float) else full_text(cell) for cell in row)
        writer.writerow([str(cell).lower() if isinstance(cell, bool) else escape_formula(cell) for cell in cells])
    write_whole(path, text.getvalue().encode(), "--csv")


def _was_run(path: Path) -> bool:
    """Whether a directory holds checkpoints beside one of the two files that make a run, or lets nobody see."""
    if path.name.startswith(".") or not os.path.isdir(path):
        return False
    try:
        (path / "status.json").exists()
    except OSError:
        return True
    known = any((path / name).is_file() for name in ("config.yaml", "status.json"))
    return known and (path / "checkpoints").is_dir()


def _ways_on(lost: Sequence[RunSummary]) -> str:
    """Say how lost runs are closed, and how the first of them go on."""
    folder = Path(lost[0].path).parent
    elsewhere = [] if folder == Path("runs").resolve() else ["--runs-dir", folder]
    commands = [f"  {one.resume}" for one in lost[:SHOWN] if one.resume]
    code = "; model.builder runs the function that it names" if any("model.builder=" in one for one in commands) else ""
    head = [f"These commands continue{code}:"] if commands else []
    return "\n".join(
        [f"{len(lost)} lost. `{suggested_command('runs', '--repair', *elsewhere)}` closes them.", *head, *commands]
    )


def _summary(path: Path, repair: bool, tracking_uri: str | None) -> RunSummary:
    try:
        run = RunDirectory.open(path)
        status, config = read_status(run), parse_yaml(run.read_config(), f"config.yaml of {run.name}")
        choices = _choices(config)
        closed = read_status_file(run.path).state is not State.RUNNING
    except (InputError, OSError) as error:
        return _unusable(path, str(error))
    if repair and status.state is State.LOST and not closed:
        return _repaired(run, status, choices, tracking_uri)
    if repair and status.state in (State.LOST, State.KILLED, State.FAILED):  # MLflow may have been out of reach then
        return _line(run, status, choices, problem=_mirrored(run, tracking_uri))
    resume = suggested_command("train", "--resume", run.path, *named_again(config))
    broke_off = status.state in (State.LOST, State.KILLED) and resume == printable(resume, 8192)
    return _line(run, status, choices, closed=closed, resume=resume if broke_off else None)


def _repaired(run: RunDirectory, status: Status, choices: Mapping[str, str], tracking_uri: str | None) -> RunSummary:
    ended = last_heartbeat(run) or status.started
    try:
        close_run(run, State.LOST, status.reason, ended=ended)
    except (InputError, OSError) as error:
        return _line(run, status, choices, problem=str(error), closed=False)
    return _line(run, read_status(run), choices, problem=_mirrored(run, tracking_uri), repaired=True)


def _mirrored(run: RunDirectory, tracking_uri: str | None) -> str | None:
    """Bring MLflow to what the run says; return why it could not be."""
    try:
        add_known_store(tracking_uri)
        synced = sync_run(run, store_of_run(run, tracking_uri))
    except (InputError, OSError) as error:
        return str(error)
    return synced.problem if synced.store is not None else None


def _line(
    run: RunDirectory,
    status: Status,
    choices: Mapping[str, str],
    *,
    problem: str | None = None,
    repaired: bool = False,
    closed: bool = True,
    resume: str | None = None,
) -> RunSummary:
    reason = None if status.reason is None else printable(status.reason)
    return RunSummary(
        run=run.name,
        path=printable(str(run.path), 4096),
        state=status.state,
        reason=reason,
        started=status.started_at,
        step=status.step,
        epoch=status.epoch,
        choices=choices,
        problem=problem,
        repaired=repaired,
        closed=closed,
        resume=resume,
    )


def _unusable(path: Path, problem: str) -> RunSummary:
    name, where = printable(path.name), printable(str(path), 4096)
    return RunSummary(name, where, None, None, None, 0, 0, {}, problem=printable(problem))


def _choices(config: Any) -> dict[str, str]:
    groups = config if isinstance(config, dict) else {}
    named = {key: group["name"] for key, group in groups.items() if isinstance(group, dict) and "name" in group}
    return {printable(str(key), 50): printable(str(name), 50) for key, name in named.items()}


def _remove_half_made(root: Path) -> None:
    """Directories whose maker died before they had a name."""
    for path in root.glob(".creating-*"):
        if path.is_dir() and not path.is_symlink() and time.time() - path.lstat().st_mtime > ABANDONED_AFTER:
            shutil.rmtree(path, ignore_errors=True)
