"""One run in a list of runs: its state, and what is done about it if its process is gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from infomcr_cli.config.allowed_builders import named_again
from infomcr_cli.config.flat_settings import chosen_names
from infomcr_cli.console.suggestions import suggested_command
from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.runs import RunDirectory, State, Status, read_status
from infomcr_cli.runs.annotations import read_annotations
from infomcr_cli.runs.io.safe_documents import parse_yaml
from infomcr_cli.runs.lifecycle import close_run
from infomcr_cli.runs.lock import last_heartbeat
from infomcr_cli.runs.status import read_status_file
from infomcr_cli.tracking.known_stores import add_known_store, store_of_run
from infomcr_cli.tracking.sync import sync_run


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
        tags, note: what the user noted.
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
    tags: Mapping[str, str] = field(default_factory=dict)
    note: str | None = None


def summarise_run(path: Path, repair: bool = False, tracking_uri: str | None = None) -> RunSummary:
    """Return one run of a list; with `repair` it is closed if its process is gone, and MLflow is brought up to date.

    Args:
        path: a run directory, or what was one.
    """
    try:
        run = RunDirectory.open(path)
        noted = read_annotations(run)
        summary = _summary_of(run, repair, tracking_uri)
    except (InputError, OSError) as error:
        name, where = printable(path.name), printable(str(path), 4096)
        return RunSummary(name, where, None, None, None, 0, 0, {}, problem=printable(str(error)))
    return replace(summary, tags=noted.tags, note=noted.note or None)


def _summary_of(run: RunDirectory, repair: bool, tracking_uri: str | None) -> RunSummary:
    status, config = read_status(run), parse_yaml(run.read_config(), f"config.yaml of {run.name}")
    choices = {printable(key, 50): printable(name, 50) for key, name in chosen_names(config).items()}
    closed = read_status_file(run.path).state is not State.RUNNING
    if repair and status.state is State.LOST and not closed:
        return _repaired(run, status, choices, tracking_uri)
    if repair and status.state in (State.LOST, State.KILLED, State.FAILED):  # MLflow may have been out of reach then
        return _line(run, status, choices, problem=_mirrored(run, tracking_uri))
    resume = suggested_command("train", "--resume", run.path, *named_again(config))
    # a command that cannot be printed as it is would name another run
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
