"""The command `runs`: list the runs of a folder, and close those whose process is gone."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from infomcr_cli.config.allowed_builders import named_again
from infomcr_cli.console.suggestions import suggested_command
from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
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
SHOWN = 5  # lost runs whose commands are printed


@dataclass(frozen=True)
class RunSummary:
    """One run in a list.

    Args:
        choices:  group → chosen name, such as model → wrn; empty where the configuration cannot be read.
        problem:  why it cannot be used, or why its end did not reach MLflow.
        repaired: whether it was closed just now.
        closed:   whether its directory says that it has ended; a lost one may still say that it is running.
        resume:   the command that resumes it, if it was interrupted.
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


@dataclass(frozen=True)
class RunList:
    """The runs of a folder.

    Args:
        repaired: whether lost runs were closed; then a problem is a failure.
    """

    runs: tuple[RunSummary, ...]
    repaired: bool = False

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
        is_wide = width >= WIDE
        columns = ("epoch", "step", "model", "reg") if is_wide else ()
        table = Table(box=None, pad_edge=False)
        for name in ("run", "state", *columns, "remark"):
            table.add_column(name, overflow="fold", no_wrap=name == "state")
        for run in self.runs:
            remark = run.problem or ("closed just now" if run.repaired else run.reason or "")
            facts = (str(run.epoch), str(run.step), *(run.choices.get(group, "") for group in ("model", "reg")))
            cells = (run.run, str(run.state or "unreadable"), *(facts if is_wide else ()), remark)
            table.add_row(*(Text(cell) for cell in cells))
        yield table
        if lost := [run for run in self.runs if run.state is State.LOST and not run.closed]:
            yield _ways_on(lost)


def list_runs(folder: Path | str, *, repair: bool = False, tracking_uri: str | None = None) -> RunList:
    """Return the runs of a folder by name; with `repair`, close the lost ones here, and in MLflow all that broke off.

    Raises:
        InputError: there is no such folder, or tracking_uri is none.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError("runs must be in a folder", received=printable(str(root)), advice="Give it with --runs-dir.")
    if repair:
        store_of(tracking_uri, None, root)  # refuses what is no URI
        _remove_half_made(root)
    found = [path for path in sorted(root.iterdir()) if is_run(path) or _was_run(path)]
    return RunList(tuple(_summary(path, repair, tracking_uri) for path in found), repaired=repair)


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
